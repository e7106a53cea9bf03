// One warp multiplies c[16x8] = a[16x16] * b[16x8] in several ways, each with other functions of common/mma.cuh. `a` is stored [row][k].
#include "common/mma.cuh"

__device__ void write_sum(float* c, const float (&sum)[4]) {
    int row = threadIdx.x / 4, column = threadIdx.x % 4 * 2;
    c[row * 8 + column] = sum[0];
    c[row * 8 + column + 1] = sum[1];
    c[(row + 8) * 8 + column] = sum[2];
    c[(row + 8) * 8 + column + 1] = sum[3];
}

// b stored [column][k]: the fragments need no transposition.
extern "C" __global__ void product(const element* a, const element* b, float* c) {
    DYNAMIC_SHARED(element, tile);
    int lane = threadIdx.x;
    copy_async<16>(tile + lane * 8, a + lane * 8);
    copy_async<8>(tile + 256 + lane * 4, b + lane * 4);
    copy_async_commit();
    copy_async_wait<0>();
    __syncwarp();
    unsigned left[4], right[2];
    load_matrices(left, tile + lane % 16 * 16 + lane / 16 * 8);
    load_matrices(right, tile + 256 + lane % 8 * 16 + lane / 8 % 2 * 8);
    float sum[4] = {0, 0, 0, 0};
    mma_m16n8k16<element>(sum, left, right[0], right[1]);
    write_sum(c, sum);
}

// b stored [k][column]: transposed while loading. Four matrices at once, of which two are used.
extern "C" __global__ void product_transposed(const element* a, const element* b, float* c) {
    __shared__ __align__(16) element left_tile[256];
    __shared__ __align__(16) element right_tile[256];
    int lane = threadIdx.x;
    for (int i = lane; i < 256; i += WARP) {
        left_tile[i] = a[i];
        right_tile[i] = i < 128 ? b[i] : element{0};
    }
    __syncwarp();
    unsigned left[4], right[4], pair[2];
    load_matrices(left, left_tile + lane % 16 * 16 + lane / 16 * 8);
    load_matrices<true>(right, right_tile + lane * 8);
    load_matrices<true>(pair, right_tile + lane * 8);
    float sum[4] = {0, 0, 0, 0}, again[4] = {0, 0, 0, 0};
    mma_m16n8k16<element>(sum, left, right[0], right[1]);
    mma_m16n8k16<element>(again, left, pair[0], pair[1]);
    for (int i = 0; i < 4; ++i) {
        sum[i] = sum[i] == again[i] ? sum[i] : __int_as_float(-1);
    }
    write_sum(c, sum);
}

// Fragments filled by hand from the table in common/mma.cuh, without load_matrices; b stored [column][k].
extern "C" __global__ void product_by_hand(const element* a, const element* b, float* c) {
    int row = threadIdx.x / 4, pair = threadIdx.x % 4 * 2;
    unsigned left[4], right[2];
    for (int i = 0; i < 4; ++i) {
        const element* from = a + (row + i % 2 * 8) * 16 + pair + i / 2 * 8;
        left[i] = pack(from[0], from[1]);
    }
    for (int i = 0; i < 2; ++i) {
        const element* from = b + row * 16 + pair + i * 8;
        right[i] = pack(from[0], from[1]);
    }
    float sum[4] = {0, 0, 0, 0};
    mma_m16n8k16<element>(sum, left, right[0], right[1]);
    write_sum(c, sum);
}

// Copies of 4, 8 and 16 bytes of which only some are valid, in two groups; `output` after the first wait, then after the second.
extern "C" __global__ void groups(const unsigned char* input, unsigned char* output) {
    __shared__ __align__(16) unsigned char landed[32];
    copy_async<16>(landed, input, 5);
    copy_async_commit();
    copy_async<8>(landed + 16, input, 7);
    copy_async<4>(landed + 24, input, 0);
    copy_async<4>(landed + 28, input);
    copy_async_commit();
    copy_async_wait<1>();
    for (int i = 0; i < 32; ++i) {
        output[i] = landed[i];
    }
    copy_async_wait<0>();
    for (int i = 0; i < 32; ++i) {
        output[32 + i] = landed[i];
    }
}
