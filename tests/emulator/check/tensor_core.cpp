// kernels/common/mma.cuh: a product through every function equals the plain one.
#include <cmath>

#include "check.h"

namespace {

// Small integers: exact in f16 and bf16, and so is their product's sum in f32.
struct Operands {
    int element;
    std::vector<int> a, b;  // [16][16] and, as [k][column], [16][8]

    explicit Operands(int element_type) : element(element_type) {
        for (int i = 0; i < 256; ++i) {
            a.push_back((i * 37 + 11) % 31 - 15);
        }
        for (int i = 0; i < 128; ++i) {
            b.push_back((i * 53 + 7) % 29 - 14);
        }
    }

    // `b` as [k][column], or turned into [column][k].
    std::vector<uint16_t> encoded_b(bool turned) const {
        std::vector<uint16_t> values(128);
        for (int k = 0; k < 16; ++k) {
            for (int column = 0; column < 8; ++column) {
                values[static_cast<size_t>(turned ? column * 16 + k : k * 8 + column)] = encode(element, b[static_cast<size_t>(k * 8 + column)]);
            }
        }
        return values;
    }

    std::vector<uint16_t> encoded_a() const {
        std::vector<uint16_t> values;
        for (int value : a) {
            values.push_back(encode(element, value));
        }
        return values;
    }

    int expected(int row, int column) const {
        int sum = 0;
        for (int k = 0; k < 16; ++k) {
            sum += a[static_cast<size_t>(row * 16 + k)] * b[static_cast<size_t>(k * 8 + column)];
        }
        return sum;
    }
};

void products(int element) {
    Operands operands(element);
    Kernels kernels("tensor_core.cu", {"-DELEMENT=" + std::to_string(element)});
    for (const char* name : {"product", "product_transposed", "product_by_hand"}) {
        bool turned = std::string(name) != "product_transposed";
        Array<uint16_t> a(operands.encoded_a()), b(operands.encoded_b(turned));
        Array<float> c(128);
        launch(kernels.function(name), {1, 32, (256 + 128) * 2}, a.pointer(), b.pointer(), c.pointer());
        std::vector<float> found = c.values();
        for (int i = 0; i < 128; ++i) {
            int expected = operands.expected(i / 8, i % 8);
            require(found[static_cast<size_t>(i)] == static_cast<float>(expected), "%s, element type %d, row %d, column %d: expected %d, found %g", name,
                    element, i / 8, i % 8, expected, found[static_cast<size_t>(i)]);
        }
    }
}

void copy_groups(int) {
    std::vector<unsigned char> input(32), expected(64, 0);
    for (size_t i = 0; i < 32; ++i) {
        input[i] = static_cast<unsigned char>(i + 1);
    }
    for (size_t half = 0; half < 64; half += 32) {
        for (size_t i = 0; i < 5; ++i) {
            expected[half + i] = input[i];
        }
    }
    for (size_t i = 48; i < 64; ++i) {
        bool valid = i < 55 || i >= 60;
        expected[i] = !valid ? 0 : input[i < 56 ? i - 48 : i - 60];
    }
    Array<unsigned char> from(input), to(64);
    launch(Kernels("tensor_core.cu", {"-DELEMENT=1"}).function("groups"), {1, 1}, from.pointer(), to.pointer());
    std::vector<unsigned char> found = to.values();
    for (size_t i = 0; i < 64; ++i) {
        bool on_its_way = i >= 16 && i < 32;  // the second group at the first look
        require(on_its_way || found[i] == expected[i], "byte %zu: expected %d, found %d", i, expected[i], found[i]);
    }
}

}  // namespace

std::vector<Case> tensor_core_cases() { return {{"products", products}, {"copy_groups", copy_groups}}; }
