// kernels/common/{scalar,reduce,philox}.cuh against the compiler's own arithmetic.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "check.h"

namespace {

float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// What the element type `element` (1: f16, 2: bf16) means.
float widened(uint16_t bits, int element) {
    if (element == 2) {
        return float_of(static_cast<uint32_t>(bits) << 16);
    }
    _Float16 half;
    std::memcpy(&half, &bits, sizeof half);
    return static_cast<float>(half);
}

// The nearest of the two neighbours in the element type; of equally near ones that with an even last bit.
uint16_t narrowed(float value, int element) {
    if (std::isnan(value)) {
        return 0x7fff;
    }
    if (element == 1) {
        _Float16 half = static_cast<_Float16>(value);
        uint16_t bits;
        std::memcpy(&bits, &half, sizeof bits);
        return bits;
    }
    uint16_t down = static_cast<uint16_t>(bits_of(value) >> 16);  // towards zero
    if (std::isinf(value)) {
        return down;
    }
    // All of this is exact in double; above the largest number comes 2^128, as if the exponent went on.
    float after = widened(static_cast<uint16_t>(down + 1), 2);
    double below = std::fabs(widened(down, 2)), above = std::isinf(after) ? std::ldexp(1.0, 128) : std::fabs(after);
    double distance = std::fabs(value) - below, half_step = (above - below) / 2;
    bool up = distance > half_step || (distance == half_step && (down & 1) == 1);
    return static_cast<uint16_t>(down + (up ? 1 : 0));
}

void widening(int element) {
    std::vector<uint16_t> all(65536);
    for (size_t i = 0; i < all.size(); ++i) {
        all[i] = static_cast<uint16_t>(i);
    }
    Array<uint16_t> input(all);
    Array<float> output(all.size());
    launch(Kernels("scalar.cu", {"-DELEMENT=" + std::to_string(element)}).function("widen"), {256, 256}, input.pointer(), output.pointer(), 65536);
    std::vector<float> found = output.values();
    for (size_t i = 0; i < all.size(); ++i) {
        float expected = widened(all[i], element);
        bool equal = std::isnan(expected) ? std::isnan(found[i]) : bits_of(expected) == bits_of(found[i]);
        require(equal, "element type %d, 0x%04zx: expected %g, found %g", element, i, expected, found[i]);
    }
}

// Numbers whose rounding is hard, and a walk through all magnitudes.
std::vector<float> hard_numbers() {
    std::vector<float> numbers;
    for (uint32_t bits = 0; bits < 65536; ++bits) {  // every bf16 and every f16, half a step above, and just beside that
        for (uint32_t low : {0x0000u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
            numbers.push_back(float_of(bits << 16 | low));
        }
        float half = widened(static_cast<uint16_t>(bits), 1);
        if (std::isfinite(half)) {
            float next = widened(static_cast<uint16_t>(bits + 1), 1), middle = (half + next) / 2;
            if (std::isfinite(middle)) {
                numbers.insert(numbers.end(), {middle, std::nextafterf(middle, 1e30f), std::nextafterf(middle, -1e30f)});
            }
        }
    }
    for (uint32_t walk = 0, bits = 1; walk < 200000; ++walk, bits += 2654435761u) {
        numbers.push_back(float_of(bits));
    }
    numbers.insert(numbers.end(), {65519.996f, 65520.0f, -65520.0f, 3.4028235e38f, -3.4028235e38f, INFINITY, -INFINITY, NAN, 0.0f, -0.0f});
    return numbers;
}

void narrowing(int element) {
    std::vector<float> numbers = hard_numbers();
    Array<float> input(numbers);
    Array<uint16_t> output(numbers.size());
    int count = static_cast<int>(numbers.size());
    launch(Kernels("scalar.cu", {"-DELEMENT=" + std::to_string(element)}).function("narrow"), {static_cast<unsigned>(count + 255) / 256, 256},
           input.pointer(), output.pointer(), count);
    std::vector<uint16_t> found = output.values();
    for (size_t i = 0; i < numbers.size(); ++i) {
        uint16_t expected = narrowed(numbers[i], element);
        require(expected == found[i], "element type %d, %.9g: expected 0x%04x, found 0x%04x", element, numbers[i], expected, found[i]);
    }
}

// The order of reduce.cuh: a butterfly in each warp, then warp after warp.
float sum_in_order(const float* values, unsigned count) {
    float total = 0;
    for (unsigned warp = 0; warp < count; warp += 32) {
        float lanes[32];
        std::memcpy(lanes, values + warp, sizeof lanes);
        for (int distance = 16; distance > 0; distance /= 2) {
            float before[32];
            std::memcpy(before, lanes, sizeof lanes);
            for (int lane = 0; lane < 32; ++lane) {
                lanes[lane] = before[lane] + before[lane ^ distance];
            }
        }
        total = warp == 0 ? lanes[0] : total + lanes[0];
    }
    return total;
}

void reduction(int) {
    void* function = Kernels("scalar.cu").function("reduce");
    for (unsigned block : {32u, 96u, 1024u}) {
        std::vector<float> values(3 * block);
        for (size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<float>((i * 7919 + 13) % 1000) / 7.0f - 70.0f;
        }
        struct Four {
            float sum, most, first, second;
        };
        Array<float> input(values);
        Array<Four> output(values.size());
        launch(function, {3, block}, input.pointer(), output.pointer());
        std::vector<Four> found = output.values();
        for (size_t i = 0; i < values.size(); ++i) {
            const float* own = &values[i / block * block];
            float sum = sum_in_order(own, block), most = -INFINITY;
            for (unsigned k = 0; k < block; ++k) {
                most = std::fmax(most, own[k]);
            }
            Four f = found[i];
            require(f.sum == sum && f.most == most && f.first == sum && f.second == 2 * sum, "block of %u, thread %zu: %g %g %g %g, expected %g %g", block, i,
                    f.sum, f.most, f.first, f.second, sum, most);
        }
    }
}

// Prints the bits of the first normal numbers of a stream, for tests/rig.rs to compare with src/tensor/random.rs: key and nonce are 1 to 4.
void normal(int count) {
    struct Pair {
        alignas(8) uint32_t x;
        uint32_t y;
    };
    Array<float> output(static_cast<size_t>(count));
    launch(Kernels("scalar.cu").function("normal"), {static_cast<unsigned>(count + 127) / 128, 128}, output.pointer(), Pair{1, 2}, Pair{3, 4}, count / 4);
    for (float value : output.values()) {
        std::printf("%08x\n", bits_of(value));
    }
}

}  // namespace

std::vector<Case> scalar_cases() { return {{"widening", widening}, {"narrowing", narrowing}, {"reduction", reduction}, {"normal", normal}}; }
