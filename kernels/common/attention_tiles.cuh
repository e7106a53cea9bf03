// Tiles of attention on tensor cores, for f16 and bf16: a warp owns 16 vectors as rows of mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16").
// Lane l holds, of an accumulator tile j, rows l/4 and l/4 + 8 at columns 8j + 2(l%4) and the one after.
#pragma once
#include "common/attention_inputs.cuh"
#include "common/mma.cuh"

#if ELEMENT != 0 && __CUDA_ARCH__ >= 800
constexpr float LOG2E = 1.4426950408889634f;

// A head's width, filled with zeros up to a multiple of 16, and the distance of vectors in shared memory: an odd number of 16-byte units, so that the
// eight rows of an ldmatrix lie in different banks.
template <int WIDTH>
struct Width {
    static constexpr int PADDED = (WIDTH + 15) / 16 * 16;
    static constexpr int PITCH = PADDED + 8;
};

// shared [COUNT, PITCH] = vectors first, first + 1, …; zeros beyond `count` and beyond WIDTH. One copy after the other where registers are few; the compiler
// chooses how many otherwise.
template <int WIDTH, int COUNT, int THREADS, bool FEW_REGISTERS = false>
__device__ __forceinline__ void fetch_vectors(element* shared, const element* vectors, int first, int count, int stride) {
    constexpr int CHUNKS = Width<WIDTH>::PADDED / 8;
    auto fetch = [&](int i) {
        int row = i / CHUNKS, chunk = i % CHUNKS * 8;
        bool inside = first + row < count && chunk < WIDTH;
        copy_async<16>(shared + row * Width<WIDTH>::PITCH + chunk, vectors + (inside ? (size_t)(first + row) * stride + chunk : 0), inside ? 16 : 0);
    };
    if constexpr (FEW_REGISTERS) {
#pragma unroll 1
        for (int i = threadIdx.x; i < COUNT * CHUNKS; i += THREADS) fetch(i);
    } else {
        for (int i = threadIdx.x; i < COUNT * CHUNKS; i += THREADS) fetch(i);
    }
}

// The A fragments of this warp's 16 vectors from global memory: depth `depth` on, 16 · STEPS of it; `first` is the warp's first vector.
template <int WIDTH, int STEPS>
__device__ __forceinline__ void load_fragments(unsigned (&a)[STEPS][4], const element* vectors, int first, int count, int stride, int depth) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int step = 0; step < STEPS; step++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int row = first + lane / 4 + i % 2 * 8, d = depth + step * 16 + i / 2 * 8 + lane % 4 * 2;
            a[step][i] = row < count && d < WIDTH ? *reinterpret_cast<const unsigned*>(vectors + (size_t)row * stride + d) : 0u;
        }
}

// The A fragment of 16 vectors in shared memory, one step of 16 in depth.
template <int PITCH>
__device__ __forceinline__ void shared_fragment(unsigned (&a)[4], const element* shared, int step) {
    int lane = threadIdx.x % 32;
    load_matrices(a, shared + lane % 16 * PITCH + step * 16 + lane / 16 * 8);
}

// sums [16, COLUMNS] += one step of a · (shared [COLUMNS, PITCH])ᵀ.
template <int COLUMNS, int PITCH>
__device__ __forceinline__ void multiply_step(float (&sums)[COLUMNS / 8][4], const unsigned (&a)[4], const element* shared, int step) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int j = 0; j < COLUMNS / 16; j++) {
        unsigned b[4];
        load_matrices(b, shared + (j * 16 + lane % 8 + lane / 16 * 8) * PITCH + step * 16 + lane / 8 % 2 * 8);
        mma_m16n8k16<element>(sums[2 * j], a, b[0], b[1]);
        mma_m16n8k16<element>(sums[2 * j + 1], a, b[2], b[3]);
    }
}

// sums [16, 8 · TILES] += p [16, COLUMNS] · shared [COLUMNS, PITCH]; p is rounded to the element type.
template <int COLUMNS, int PITCH, int TILES>
__device__ __forceinline__ void combine(float (&sums)[TILES][4], const float (&p)[COLUMNS / 8][4], const element* shared) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < COLUMNS / 16; k++) {
        unsigned a[4];
#pragma unroll
        for (int i = 0; i < 4; i++) a[i] = pack<element>(p[2 * k + i / 2][i % 2 * 2], p[2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int j = 0; j < TILES / 2; j++) {
            unsigned b[4];
            load_matrices<true>(b, shared + (k * 16 + lane % 16) * PITCH + j * 16 + lane / 16 * 8);
            mma_m16n8k16<element>(sums[2 * j], a, b[0], b[1]);
            mma_m16n8k16<element>(sums[2 * j + 1], a, b[2], b[3]);
        }
    }
}

template <int TILES>
__device__ __forceinline__ void clear_tiles(float (&tiles)[TILES][4]) {
#pragma unroll
    for (int j = 0; j < TILES; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) tiles[j][i] = 0.0f;
}

// The largest value, and the sum, over the four lanes that share a row.
__device__ __forceinline__ float row_max(float v) {
    v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
    return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
}
__device__ __forceinline__ float row_sum(float v) {
    v += __shfl_xor_sync(0xffffffffu, v, 1);
    return v + __shfl_xor_sync(0xffffffffu, v, 2);
}

// Writes this warp's tiles, times a factor per row, from depth `depth` on.
template <int WIDTH, int TILES>
__device__ __forceinline__ void write_rows(element* out, const float (&sums)[TILES][4], float (&factors)[2], int first, int count, int stride, int depth) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int row = first + lane / 4 + 8 * h;
        if (row >= count) continue;
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            int d = depth + j * 8 + lane % 4 * 2;
            if (d < WIDTH) *reinterpret_cast<unsigned*>(out + (size_t)row * stride + d) = pack<element>(sums[j][2 * h] * factors[h], sums[j][2 * h + 1] * factors[h]);
        }
    }
}

// Where SLICES warps each hold the share of their slice of the depth, gives all of them the sum. `shares`: SLICES · COLUMNS · 16 floats of those warps. A
// barrier follows before they are used again.
template <int SLICES, int COLUMNS>
__device__ __forceinline__ void exchange_shares(float (&tiles)[COLUMNS / 8][4], float* shares, int slice) {
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) shares[(slice * (COLUMNS / 2) + i) * WARP + lane] = tiles[i / 4][i % 4];
    __syncthreads();
    clear_tiles(tiles);
    // One share after the other: all at once would take registers that the gradients of wide heads have not left.
#pragma unroll 1
    for (int other = 0; other < SLICES; other++)
#pragma unroll
        for (int i = 0; i < COLUMNS / 2; i++) tiles[i / 4][i % 4] += shares[(other * (COLUMNS / 2) + i) * WARP + lane];
}
#endif
