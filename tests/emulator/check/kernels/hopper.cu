// The functions of common/hopper.cuh, one at a time and together, each with the mistakes that are made with it. -DMISTAKE=0 makes none.
#include "common/hopper.cuh"

constexpr int WRONG_SWIZZLE = 1, MISSING_BOX_WAIT = 2, MISSING_PRODUCTS_WAIT = 3, EARLY_RELEASE = 4, MISSING_FENCE = 5, MISSING_PUBLICATION = 6,
              TOO_MANY_BYTES = 7, TOO_FEW_ARRIVALS = 8, DIFFERENT_FACTORS = 9, TOO_MANY_REGISTERS = 10, HALF_A_WARPGROUP = 11, READ_ALONG = 12;

// Copies one box of 3 dimensions, box[0] = 64 elements of 16 bits, and writes it as it should lie.
extern "C" __global__ void box3(const __grid_constant__ TensorMap map, unsigned short* output, int elements, int x0, int x1, int x2) {
    DYNAMIC_SHARED(unsigned short, shared);
    Barrier* barrier = reinterpret_cast<Barrier*>(shared + elements);
    if (threadIdx.x == 0) {
        barrier_init(barrier, 1);
        if (MISTAKE != MISSING_PUBLICATION) publish_barriers();
        prefetch(map);
        barrier_arrive_expecting(barrier, elements * 2 + (MISTAKE == TOO_MANY_BYTES ? 128 : 0));
        copy_box(shared, map, barrier, x0, x1, x2);
    }
    __syncthreads();
    if (MISTAKE != MISSING_BOX_WAIT) barrier_wait(barrier, 0);
    for (int i = threadIdx.x; i < elements; i += blockDim.x) {
        int row = i / 64, chunk = i % 64 / 8;
        output[i] = shared[row * 64 + (MISTAKE == WRONG_SWIZZLE ? chunk : chunk ^ row % 8) * 8 + i % 8];
    }
    if (MISTAKE == MISSING_BOX_WAIT) barrier_wait(barrier, 0);
}

extern "C" __global__ void box4(const __grid_constant__ TensorMap map, unsigned short* output, int elements, int x0, int x1, int x2, int x3) {
    DYNAMIC_SHARED(unsigned short, shared);
    Barrier* barrier = reinterpret_cast<Barrier*>(shared + elements);
    if (threadIdx.x == 0) {
        barrier_init(barrier, 1);
        publish_barriers();
        barrier_arrive_expecting(barrier, elements * 2);
        copy_box(shared, map, barrier, x0, x1, x2, x3);
    }
    __syncthreads();
    barrier_wait(barrier, 0);
    for (int i = threadIdx.x; i < elements; i += blockDim.x) output[i] = shared[i / 64 * 64 + (i % 64 / 8 ^ i / 64 % 8) * 8 + i % 8];
}

// 32 rounds in which two warps take turns: the first writes, the second reads; barriers are all that keeps them apart.
extern "C" __global__ void turns(int* output) {
    DYNAMIC_SHARED(int, shared);
    Barrier *written = reinterpret_cast<Barrier*>(shared + 32), *read = written + 1;
    if (threadIdx.x == 0) {
        barrier_init(written, 32);
        barrier_init(read, MISTAKE == TOO_FEW_ARRIVALS ? 33 : 32);
        publish_barriers();
    }
    __syncthreads();
    int lane = threadIdx.x % 32, sum = 0;
    for (int round = 0; round < 32; round++) {
        unsigned parity = round % 2;
        if (threadIdx.x < 32) {
            barrier_wait(read, parity ^ 1);
            shared[lane] = round * lane;
            barrier_arrive(written);
        } else {
            barrier_wait(written, parity);
            sum += shared[31 - lane];
            barrier_arrive(read);
        }
    }
    if (threadIdx.x >= 32) output[lane] = sum;
}

// What a product is launched with.
struct Factors {
    TensorMap a, b;
    float* c;
    int depth;
};

// c[64 x COLUMNS] = a[64, depth] · b[COLUMNS, depth]ᵀ by one warpgroup, or · b[depth, COLUMNS] if ACROSS; one thread of another copies boxes of 64 of the
// depth into two stages. The third does nothing, so that there are registers to give.
template <int COLUMNS, bool ACROSS>
__device__ void warpgroup_product(const Factors& factors) {
    DYNAMIC_SHARED(unsigned char, shared);
    constexpr int BOXES = ACROSS ? (COLUMNS + 63) / 64 : 1, BOX_BYTES = ACROSS ? 64 * 128 : COLUMNS * 128;
    constexpr int A_BYTES = 64 * 128, STAGE = A_BYTES + BOXES * BOX_BYTES;
    Barrier *full = reinterpret_cast<Barrier*>(shared + 2 * STAGE), *empty = full + 2;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < 2; stage++) {
            barrier_init(full + stage, 1);
            barrier_init(empty + stage, 4);
        }
        publish_barriers();
    }
    __syncthreads();
    int steps = (factors.depth + 63) / 64, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (warp >= 4) {
        if (MISTAKE != TOO_MANY_REGISTERS) give_registers<24>();
        for (int step = 0; step < steps && threadIdx.x == WARPGROUP; step++) {
            int stage = step % 2;
            barrier_wait(empty + stage, (step / 2 + 1) % 2);
            barrier_arrive_expecting(full + stage, STAGE);
            copy_box(shared + stage * STAGE, factors.a, full + stage, step * 64, 0, 0);
            for (int box = 0; box < BOXES; box++)
                copy_box(shared + stage * STAGE + A_BYTES + box * BOX_BYTES, factors.b, full + stage, ACROSS ? box * 64 : step * 64,
                         ACROSS ? step * 64 : 0, 0);
        }
        return;
    }
    if (MISTAKE == HALF_A_WARPGROUP && warp > 1) return;
    take_registers<240>();
    float sums[COLUMNS / 8][4];
    for (int step = 0; step < steps; step++) {
        int stage = step % 2;
        barrier_wait(full + stage, step / 2 % 2);
        unsigned long long left = describe_factor(shared + stage * STAGE), right;
        right = ACROSS ? describe_factor_across(shared + stage * STAGE + A_BYTES) : describe_factor(shared + stage * STAGE + A_BYTES);
        if (MISTAKE == DIFFERENT_FACTORS && warp == 3) left += 2;
        hold_sums<COLUMNS>(sums);
        if (MISTAKE != MISSING_FENCE) products_fence();
        for (int k = 0; k < 4; k++)
            multiply<element, COLUMNS, ACROSS && MISTAKE != READ_ALONG>(sums, left + k * 2, right + k * (ACROSS ? 128 : 2), step > 0 || k > 0);
        products_commit();
        hold_sums<COLUMNS>(sums);
        if (MISTAKE == EARLY_RELEASE && lane == 0) barrier_arrive(empty + stage);
        if (MISTAKE == MISSING_PRODUCTS_WAIT) products_wait<1>();
        else products_wait<0>();
        hold_sums<COLUMNS>(sums);
        if (MISTAKE != EARLY_RELEASE && lane == 0) barrier_arrive(empty + stage);
    }
    for (int j = 0; j < COLUMNS / 8; j++)
        for (int i = 0; i < 4; i++) factors.c[(warp * 16 + lane / 4 + i / 2 * 8) * COLUMNS + j * 8 + lane % 4 * 2 + i % 2] = sums[j][i];
    if (MISTAKE == MISSING_PRODUCTS_WAIT) products_wait<0>();
}

extern "C" __global__ void __launch_bounds__(384, 1) product_64(const __grid_constant__ Factors factors) { warpgroup_product<64, false>(factors); }
extern "C" __global__ void __launch_bounds__(384, 1) product_128(const __grid_constant__ Factors factors) { warpgroup_product<128, false>(factors); }
extern "C" __global__ void __launch_bounds__(384, 1) product_160(const __grid_constant__ Factors factors) { warpgroup_product<160, false>(factors); }
extern "C" __global__ void __launch_bounds__(384, 1) product_256(const __grid_constant__ Factors factors) { warpgroup_product<256, false>(factors); }
extern "C" __global__ void __launch_bounds__(384, 1) product_across_64(const __grid_constant__ Factors factors) { warpgroup_product<64, true>(factors); }
extern "C" __global__ void __launch_bounds__(384, 1) product_across_128(const __grid_constant__ Factors factors) { warpgroup_product<128, true>(factors); }
extern "C" __global__ void __launch_bounds__(384, 1) product_across_160(const __grid_constant__ Factors factors) { warpgroup_product<160, true>(factors); }
extern "C" __global__ void __launch_bounds__(384, 1) product_across_256(const __grid_constant__ Factors factors) { warpgroup_product<256, true>(factors); }
