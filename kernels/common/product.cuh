// One main loop for every matrix product: out [M, N] = A · Bᵀ (operands.cuh) with what is added behind it, on any architecture (plain) and on tensor
// cores (sm_80 and up, f16 and bf16). A product may be split along the depth over gridDim.z; the parts go to f32 memory and are added in order.
#pragma once
#include "common/destination.cuh"
#include "common/mma.cuh"
#include "common/operands.cuh"

// This block's share of the depth, in whole steps.
__device__ __forceinline__ void share_of_depth(int depth, int step, int& begin, int& end) {
    int steps = (depth + step - 1) / step, per_block = (steps + gridDim.z - 1) / gridDim.z;
    begin = min((int)blockIdx.z * per_block, steps) * step;
    end = min((int)(blockIdx.z + 1) * per_block, steps) * step;
}

// The result's tile of this block: those of the same rows follow each other, so that they find their left factor in the second-level cache. One axis of
// the grid, because there may be more rows of tiles than the others allow.
template <int ROWS, int COLUMNS>
__device__ __forceinline__ void place_of_tile(const Destination& to, int& first_row, int& first_column) {
    int across = (to.columns + COLUMNS - 1) / COLUMNS;
    first_row = blockIdx.x / across * ROWS;
    first_column = blockIdx.x % across * COLUMNS;
}

// Plain: a block of 256 threads a tile of 64 x 64, a thread 4 x 4 of it, 16 steps of depth at a time. Grid: x = tiles of N · tiles of M, z = splits of
// the depth.
constexpr int PLAIN_TILE = 64;
constexpr int PLAIN_STEP = 16;

template <class Operand>
__device__ __forceinline__ void read_plain(const Operand& operand, int first, int k, float (*tile)[PLAIN_TILE + 4]) {
#pragma unroll
    for (int i = 0; i < PLAIN_TILE * PLAIN_STEP / 256; i++) {
        int index = i * 256 + threadIdx.x;
        int lane = Operand::ALONG ? index / PLAIN_STEP : index % PLAIN_TILE, step = Operand::ALONG ? index % PLAIN_STEP : index / PLAIN_TILE;
        const element* place = operand.at(operand.fix(first + lane), operand.move(k + step));
        tile[step][lane] = place ? load(*place) : 0.0f;
    }
}

template <class A, class B>
__device__ __forceinline__ void plain_product(const A& a, const B& b, int depth, const Destination& to) {
    __shared__ float left[PLAIN_STEP][PLAIN_TILE + 4], right[PLAIN_STEP][PLAIN_TILE + 4];
    int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4, begin, end;
    int first_row, first_column;
    place_of_tile<PLAIN_TILE, PLAIN_TILE>(to, first_row, first_column);
    float sums[4][4] = {};
    share_of_depth(depth, PLAIN_STEP, begin, end);
    for (int k = begin; k < end; k += PLAIN_STEP) {
        __syncthreads();
        read_plain(a, first_row, k, left);
        read_plain(b, first_column, k, right);
        __syncthreads();
#pragma unroll
        for (int step = 0; step < PLAIN_STEP; step++)
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) sums[i][j] += left[step][row + i] * right[step][column + j];
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j += 2) to.write_pair(first_row + row + i, first_column + column + j, sums[i][j], sums[i][j + 1]);
}

#if ELEMENT != 0 && __CUDA_ARCH__ >= 800
constexpr int STEP = 32;
constexpr int STAGES = 4;

// A tile of one operand in shared memory, LANES x STEP or STEP x LANES. Rows are an odd number of 16-byte units apart, so that the eight rows of an
// ldmatrix lie in different banks.
template <class Operand, int LANES, int THREADS>
struct Tile {
    static constexpr int PITCH = Operand::ALONG ? STEP + 8 : LANES + 8;
    static constexpr int ELEMENTS = Operand::ALONG ? LANES * PITCH : STEP * PITCH;
    // 16-byte chunks of a row, and rows that a thread takes.
    static constexpr int CHUNKS = (Operand::ALONG ? STEP : LANES) / 8;
    static constexpr int ROWS = (Operand::ALONG ? LANES : STEP) * CHUNKS / THREADS;
    static constexpr int FIXED = Operand::ALONG ? ROWS : 1;
    static_assert(ROWS > 0 && THREADS % CHUNKS == 0, "each thread takes whole chunks");

    typename Operand::Fixed fixed[FIXED];

    __device__ __forceinline__ void start(const Operand& operand, int first) {
#pragma unroll
        for (int i = 0; i < FIXED; i++)
            fixed[i] = operand.fix(first + (Operand::ALONG ? threadIdx.x / CHUNKS + i * (THREADS / CHUNKS) : threadIdx.x % CHUNKS * 8));
    }

    // Starts copying the tile at depth k.
    __device__ __forceinline__ void fetch(const Operand& operand, int k, element* shared) const {
        typename Operand::Moving moving;
        if constexpr (Operand::ALONG) moving = operand.move(k + threadIdx.x % CHUNKS * 8);
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            int row = threadIdx.x / CHUNKS + i * (THREADS / CHUNKS);
            if constexpr (!Operand::ALONG) moving = operand.move(k + row);
            const element* place = operand.at(fixed[Operand::ALONG ? i : 0], moving);
            copy_async<16>(shared + row * PITCH + threadIdx.x % CHUNKS * 8, place ? place : operand.anywhere(), place ? 16 : 0);
        }
    }

    // The A fragment of 16 lanes at `step` in the tile's depth.
    __device__ __forceinline__ static void left(unsigned (&a)[4], const element* shared, int lane, int step) {
        int l = threadIdx.x % 32;
        if constexpr (Operand::ALONG) load_matrices(a, shared + (lane + l % 16) * PITCH + step + l / 16 * 8);
        else load_matrices<true>(a, shared + (step + l % 8 + l / 16 * 8) * PITCH + lane + l / 8 % 2 * 8);
    }

    // The B fragments of two tiles of 8 lanes.
    __device__ __forceinline__ static void right(unsigned (&b)[4], const element* shared, int lane, int step) {
        int l = threadIdx.x % 32;
        if constexpr (Operand::ALONG) load_matrices(b, shared + (lane + l % 8 + l / 16 * 8) * PITCH + step + l / 8 % 2 * 8);
        else load_matrices<true>(b, shared + (step + l % 16) * PITCH + lane + l / 16 * 8);
    }
};

// Tensor cores: a block of ROWS x COLUMNS, warps of WARP_ROWS x 32, STAGES tiles of 32 steps of depth in flight.
// Grid: x = tiles of N · tiles of M, z = splits of the depth; 32 threads a warp. Shared memory: STAGES · (both tiles).
// The contiguous axis of each operand is a multiple of 8 elements and starts on a 16-byte boundary.
template <int ROWS, int COLUMNS, int WARP_ROWS, class A, class B>
__device__ __forceinline__ void tensor_product(const A& a, const B& b, int depth, const Destination& to, element* shared) {
    constexpr int WARPS_ACROSS = COLUMNS / 32, THREADS = ROWS / WARP_ROWS * WARPS_ACROSS * 32, M = WARP_ROWS / 16;
    typedef Tile<A, ROWS, THREADS> Left;
    typedef Tile<B, COLUMNS, THREADS> Right;
    constexpr int STAGE = Left::ELEMENTS + Right::ELEMENTS;
    int warp = threadIdx.x / 32, warp_row = warp / WARPS_ACROSS * WARP_ROWS, warp_column = warp % WARPS_ACROSS * 32;
    int first_row, first_column, begin, end;
    place_of_tile<ROWS, COLUMNS>(to, first_row, first_column);
    share_of_depth(depth, STEP, begin, end);
    Left left;
    Right right;
    left.start(a, first_row);
    right.start(b, first_column);
    int steps = (end - begin) / STEP;
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; stage++) {
        if (stage < steps) {
            left.fetch(a, begin + stage * STEP, shared + stage * STAGE);
            right.fetch(b, begin + stage * STEP, shared + stage * STAGE + Left::ELEMENTS);
        }
        copy_async_commit();
    }
    float sums[M][4][4] = {};
    for (int t = 0; t < steps; t++) {
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        int next = t + STAGES - 1;
        if (next < steps) {
            element* stage = shared + next % STAGES * STAGE;
            left.fetch(a, begin + next * STEP, stage);
            right.fetch(b, begin + next * STEP, stage + Left::ELEMENTS);
        }
        copy_async_commit();
        const element* stage = shared + t % STAGES * STAGE;
#pragma unroll
        for (int step = 0; step < STEP; step += 16) {
            unsigned fragments[M][4], b0[4], b1[4];
#pragma unroll
            for (int i = 0; i < M; i++) Left::left(fragments[i], stage, warp_row + i * 16, step);
            Right::right(b0, stage + Left::ELEMENTS, warp_column, step);
            Right::right(b1, stage + Left::ELEMENTS, warp_column + 16, step);
#pragma unroll
            for (int i = 0; i < M; i++) {
                mma_m16n8k16<element>(sums[i][0], fragments[i], b0[0], b0[1]);
                mma_m16n8k16<element>(sums[i][1], fragments[i], b0[2], b0[3]);
                mma_m16n8k16<element>(sums[i][2], fragments[i], b1[0], b1[1]);
                mma_m16n8k16<element>(sums[i][3], fragments[i], b1[2], b1[3]);
            }
        }
    }
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 4; e += 2) {
                int row = first_row + warp_row + i * 16 + lane / 4 + e / 2 * 8, column = first_column + warp_column + j * 8 + lane % 4 * 2;
                to.write_pair(row, column, sums[i][j][e], sums[i][j][e + 1]);
            }
}
#endif
