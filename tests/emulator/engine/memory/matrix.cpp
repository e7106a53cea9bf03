// ldmatrix and mma.sync, written from the PTX ISA's figures and from nothing in kernels/common, so that a test can compare the two.
#include "emulator/matrix.h"

#include <cstring>

#include "block.h"
#include "factor.h"

namespace emulator {

namespace {

constexpr unsigned WHOLE_WARP = 0xffffffffu;

struct Load {
    const unsigned char* row;
    unsigned* fragment;
    int count;
    bool transposed;
};

EMULATOR_ONE_FOR_ALL void load_warp(void* const* arguments, unsigned lanes) {
    if (lanes != WHOLE_WARP) {
        fail("ldmatrix: lanes 0x%08x only, the whole warp must take part", lanes);
    }
    auto of = [&](int lane) EMULATOR_ONE_FOR_ALL -> Load& { return *static_cast<Load*>(arguments[lane]); };
    auto element = [&](int matrix, int row, int column) EMULATOR_ONE_FOR_ALL {
        unsigned short value;
        std::memcpy(&value, of(matrix * 8 + row).row + column * 2, sizeof value);
        return static_cast<unsigned>(value);
    };
    // All registers before any: a fragment may not alias a row, but a lane may read what another will write.
    unsigned loaded[32][4];
    for (int lane = 0; lane < 32; ++lane) {
        for (int matrix = 0; matrix < of(0).count; ++matrix) {
            int outer = lane / 4, inner = lane % 4 * 2;
            bool transposed = of(0).transposed;
            unsigned low = transposed ? element(matrix, inner, outer) : element(matrix, outer, inner);
            unsigned high = transposed ? element(matrix, inner + 1, outer) : element(matrix, outer, inner + 1);
            loaded[lane][matrix] = low | high << 16;
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        std::memcpy(of(lane).fragment, loaded[lane], static_cast<size_t>(of(0).count) * sizeof(unsigned));
    }
}

struct Product {
    float* sum;
    const unsigned* a;
    unsigned b[2];
    Factor factor;
};

EMULATOR_ONE_FOR_ALL void multiply_warp(void* const* arguments, unsigned lanes) {
    if (lanes != WHOLE_WARP) {
        fail("mma.sync: lanes 0x%08x only, the whole warp must take part", lanes);
    }
    float a[16][16], b[16][8], sum[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        const Product& own = *static_cast<Product*>(arguments[lane]);
        int group = lane / 4, pair = lane % 4 * 2;
        for (int half = 0; half < 2; ++half) {
            for (int i = 0; i < 4; ++i) {  // registers 0 and 2: rows 0-7; 1 and 3: rows 8-15; 2 and 3: columns 8-15
                a[group + i % 2 * 8][pair + i / 2 * 8 + half] = widen(own.a[i] >> (16 * half), own.factor);
            }
            for (int i = 0; i < 2; ++i) {
                b[pair + i * 8 + half][group] = widen(own.b[i] >> (16 * half), own.factor);
                sum[group + i * 8][pair + half] = own.sum[i * 2 + half];
            }
        }
    }
    for (int row = 0; row < 16; ++row) {
        for (int k = 0; k < 16; ++k) {
            for (int column = 0; column < 8; ++column) {
                sum[row][column] += a[row][k] * b[k][column];
            }
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        float* own = static_cast<Product*>(arguments[lane])->sum;
        for (int i = 0; i < 4; ++i) {
            own[i] = sum[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
        }
    }
}

}  // namespace

void load_matrices(unsigned* fragment, int count, const void* row, bool transposed) {
    if (static_cast<int>(running().lane) < count * 8) {
        require_shared(row, 16, 16, "ldmatrix");
        for (int at = 0; at < 16; ++at) {  // this lane's read, for the sanitizers
            (void)static_cast<const volatile unsigned char*>(row)[at];
        }
    }
    Load own = {static_cast<const unsigned char*>(row), fragment, count, transposed};
    act_as_warp(WHOLE_WARP, count == 4 ? "ldmatrix.x4" : "ldmatrix.x2", &own, load_warp);
}

void mma_m16n8k16(float* sum, const unsigned* a, unsigned b0, unsigned b1, Factor factor) {
    Product own = {sum, a, {b0, b1}, factor};
    act_as_warp(WHOLE_WARP, "mma.sync", &own, multiply_warp);
}

}  // namespace emulator
