// kernels/common/hopper.cuh: boxes lie as they should, barriers keep order, a warpgroup's product equals the plain one; and each mistake shows.
#include "boxes.h"

namespace {

constexpr char FILE_NAME[] = "hopper.cu";

// Compares a box that starts at `at` with what the tensor holds there, and with zeros outside.
void require_box(const std::vector<uint16_t>& found, const Description& of, const std::vector<int>& at) {
    for (size_t place = 0; place < found.size(); ++place) {
        size_t rest = place, index = 0, stride = 1;
        bool inside = true;
        for (size_t dimension = 0; dimension < of.sizes.size(); ++dimension) {
            int64_t coordinate = at[dimension] + static_cast<int64_t>(rest % of.box[dimension]);
            rest /= of.box[dimension];
            inside = inside && coordinate >= 0 && coordinate < static_cast<int64_t>(of.sizes[dimension]);
            index += inside ? static_cast<size_t>(coordinate) * stride : 0;
            stride *= of.sizes[dimension];
        }
        int expected = inside ? static_cast<uint16_t>(index + 1) : 0;
        require(found[place] == expected, "box from (%d, %d, %d), element %zu: expected %d, found %d", at[0], at[1], at[2], place, expected, found[place]);
    }
}

void box_of_three(int mistake) {
    Description of = {{72, 5, 19}, {64, 3, 8}};
    Array<uint16_t> tensor(numbered(of.sizes));
    TensorMap map = describe(tensor.pointer(), of);
    const unsigned elements = 64 * 3 * 8;
    void* kernel = function(FILE_NAME, "box3", 1, mistake, elements * 2 + 8);
    for (const std::vector<int>& at : std::vector<std::vector<int>>{{0, 0, 0}, {64, 3, 16}, {-8, -1, -3}, {8, 1, 5}, {0, 5, 0}}) {
        Array<uint16_t> output(elements);
        launch(kernel, {1, 64, elements * 2 + 8}, map, output.pointer(), static_cast<int>(elements), at[0], at[1], at[2]);
        require_box(output.values(), of, at);
    }
}

void boxes(int element) {
    box_of_three(0);
    Description of = {{40, 7, 6, 3}, {64, 8, 4, 2}, static_cast<unsigned>(element)};
    Array<uint16_t> tensor(numbered(of.sizes));
    TensorMap map = describe(tensor.pointer(), of);
    const unsigned elements = 64 * 8 * 4 * 2;
    void* kernel = function(FILE_NAME, "box4", element, 0, elements * 2 + 8);
    for (const std::vector<int>& at : std::vector<std::vector<int>>{{0, 0, 0, 0}, {0, -1, -1, 0}, {0, 1, 3, 2}, {0, -1, 4, 1}}) {
        Array<uint16_t> output(elements);
        launch(kernel, {1, 96, elements * 2 + 8}, map, output.pointer(), static_cast<int>(elements), at[0], at[1], at[2], at[3]);
        require_box(output.values(), of, at);
    }
}

void take_turns(int mistake) {
    Array<int> output(32);
    launch(function(FILE_NAME, "turns", 1, mistake, 32 * 4 + 16), {1, 64, 32 * 4 + 16}, output.pointer());
    std::vector<int> found = output.values();
    for (int lane = 0; lane < 32; ++lane) {
        int expected = 31 * 16 * (31 - lane);
        require(found[static_cast<size_t>(lane)] == expected, "lane %d: expected %d, found %d", lane, expected, found[static_cast<size_t>(lane)]);
    }
}

// The parameter of the products.
struct Factors {
    TensorMap a, b;
    DevicePointer c;
    int depth;
};

int left(int row, int k) { return (row * 37 + k * 11) % 31 - 15; }
int right(int column, int k) { return (column * 53 + k * 7) % 29 - 14; }

// A product 64 x columns over a depth that is no whole number of boxes. `swizzle` as the maps say it; the kernel counts with 128 bytes. `across`: the right
// factor's columns are neighbours in memory.
void multiply(int columns, int element, int mistake, unsigned swizzle = 3, bool across = false) {
    const int depth = 264;
    std::vector<uint16_t> a, b;
    for (int row = 0; row < 64; ++row) {
        for (int k = 0; k < depth; ++k) {
            a.push_back(encode(element, left(row, k)));
        }
    }
    for (int at = 0; at < columns * depth; ++at) {
        b.push_back(encode(element, across ? right(at % columns, at / columns) : right(at / depth, at % depth)));
    }
    Array<uint16_t> there_a(a), there_b(b);
    Array<float> c(static_cast<size_t>(64 * columns));
    auto of = [&](int size, int rows, int box_rows) {
        return Description{{static_cast<uint64_t>(size), static_cast<uint64_t>(rows), 1}, {64, static_cast<uint32_t>(box_rows), 1},
                           static_cast<unsigned>(element), swizzle};
    };
    Factors factors = {describe(there_a.pointer(), of(depth, 64, 64)), describe(there_b.pointer(), across ? of(columns, depth, 64) : of(depth, columns, columns)),
                       c.pointer(), depth};
    unsigned rows_of_b = static_cast<unsigned>(across ? (columns + 63) / 64 * 64 : columns), bytes = 2 * (64 + rows_of_b) * 128 + 32;
    std::string name = (across ? "product_across_" : "product_") + std::to_string(columns);
    launch(function(FILE_NAME, name.c_str(), element, mistake, bytes), {1, 384, bytes}, factors);
    std::vector<float> found = c.values();
    for (int at = 0; at < 64 * columns; ++at) {
        int expected = 0;
        for (int k = 0; k < depth; ++k) {
            expected += left(at / columns, k) * right(at % columns, k);
        }
        require(found[static_cast<size_t>(at)] == static_cast<float>(expected), "row %d, column %d of %d: expected %d, found %g", at / columns, at % columns,
                columns, expected, found[static_cast<size_t>(at)]);
    }
}

void warpgroup_products(int element) {
    for (int columns : {64, 128, 160, 256}) {
        multiply(columns, element, 0);
        multiply(columns, element, 0, 3, true);
    }
}

void boxes_misread(int mistake) { box_of_three(mistake ? 1 : 0); }
void missing_box_wait(int mistake) { box_of_three(mistake ? 2 : 0); }
void missing_products_wait(int mistake) { multiply(64, 1, mistake ? 3 : 0); }
void early_release(int mistake) { multiply(64, 1, mistake ? 4 : 0); }
void missing_products_fence(int mistake) { multiply(64, 1, mistake ? 5 : 0); }
void missing_publication(int mistake) { box_of_three(mistake ? 6 : 0); }
void too_many_bytes(int mistake) { box_of_three(mistake ? 7 : 0); }
void missing_arrival(int mistake) { take_turns(mistake ? 8 : 0); }
void different_factors(int mistake) { multiply(64, 1, mistake ? 9 : 0); }
void too_many_registers(int mistake) { multiply(64, 1, mistake ? 10 : 0); }
void factor_misread(int mistake) { multiply(128, 1, mistake ? 12 : 0, 3, true); }
void half_a_warpgroup(int mistake) { multiply(64, 1, mistake ? 11 : 0); }

// The mistake: the host describes boxes without the swizzle that the kernel counts with.
void wrong_swizzle(int mistake) { multiply(64, 1, 0, mistake ? 0 : 3); }

// The mistake: rows of 9 elements, whose strides are no multiples of 16 bytes.
void odd_stride(int mistake) {
    Array<uint16_t> tensor(size_t(8192));
    (void)describe(tensor.pointer(), {{mistake ? 9u : 8u, 20, 2}, {64, 8, 1}});
}

// The mistake: boxes of more than 256.
void large_box(int mistake) {
    Array<uint16_t> tensor(size_t(8192));
    (void)describe(tensor.pointer(), {{64, 300}, {64, mistake ? 257u : 256u}});
}

}  // namespace

std::vector<Case> hopper_cases() { return {{"boxes", boxes}, {"turns", take_turns}, {"warpgroup_products", warpgroup_products}}; }

std::vector<Case> hopper_mistakes() {
    return {{"boxes_misread", boxes_misread},
            {"missing_box_wait", missing_box_wait},
            {"missing_products_wait", missing_products_wait},
            {"early_release", early_release},
            {"missing_products_fence", missing_products_fence},
            {"missing_publication", missing_publication},
            {"too_many_bytes", too_many_bytes},
            {"missing_arrival", missing_arrival},
            {"different_factors", different_factors},
            {"too_many_registers", too_many_registers},
            {"half_a_warpgroup", half_a_warpgroup},
            {"factor_misread", factor_misread},
            {"wrong_swizzle", wrong_swizzle},
            {"odd_stride", odd_stride},
            {"large_box", large_box}};
}
