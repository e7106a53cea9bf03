// Rows of channels read by blocks of 256 threads: a thread keeps a pack of neighbouring channels and takes every `lanes`-th row.
#pragma once
#include "common/runs.cuh"

constexpr int THREADS = 256;

// Which channels and rows of its run a thread handles: packs of N channels side by side, `lanes` rows at a time.
template <int N>
struct Place {
    int packs, lanes, pack, lane;
    __device__ Place(int channels) {
        packs = channels / N;
        int side = min(packs, THREADS);
        lanes = THREADS / side;
        pack = threadIdx.x % side;
        lane = threadIdx.x / side;
        if (lane >= lanes) pack = packs;
    }
};

// Per channel over a run of rows: `first` and `second` sums by `add`, left in totals [channels, 2] of shared memory.
template <int N, class Add>
__device__ __forceinline__ void channel_sums(int channels, int rows, float* partial, float* totals, Add add) {
    Place<N> place(channels);
    for (int base = 0; base < place.packs; base += THREADS) {
        int channel = (base + place.pack) * N;
        float first[N] = {}, second[N] = {};
        if (channel < channels)
            add(channel, place.lane, place.lanes, first, second);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < N; i++) {
            partial[(2 * i) * THREADS + threadIdx.x] = first[i];
            partial[(2 * i + 1) * THREADS + threadIdx.x] = second[i];
        }
        __syncthreads();
        if (place.lane > 0 || channel >= channels) continue;
        int side = min(place.packs, THREADS);
        for (int i = 0; i < 2 * N; i++) {
            float sum = 0.0f;
            for (int lane = 0; lane < place.lanes; lane++) sum += partial[i * THREADS + lane * side + threadIdx.x];
            totals[2 * (channel + i / 2) + i % 2] = sum;
        }
    }
    __syncthreads();
}

// sums [samples, runs, columns] of x [samples, rows, columns], a run of rows a block. Grid: x = runs, y = samples. Shared memory as `channel_sums`.
template <int N>
__device__ __forceinline__ void column_sums_of_run(const element* x, float* sums, int rows, int columns, int rows_per_run, float* shared) {
    int start = blockIdx.x * rows_per_run, count = min(rows_per_run, rows - start);
    const element* run = x + ((size_t)blockIdx.y * rows + start) * columns;
    float* totals = shared + 2 * N * THREADS;
    channel_sums<N>(columns, count, shared, totals, [&](int column, int lane, int lanes, float (&sum)[N], float (&)[N]) {
        for (int row = lane; row < count; row += lanes) {
            float value[N];
            load_run<N>(value, run + (size_t)row * columns + column);
#pragma unroll
            for (int i = 0; i < N; i++) sum[i] += value[i];
        }
    });
    float* out = sums + ((size_t)blockIdx.y * gridDim.x + blockIdx.x) * columns;
    for (int column = threadIdx.x; column < columns; column += THREADS) out[column] = totals[2 * column];
}

// out [samples, columns] = the runs of each sample in their order. Grid: x = columns / 256, y = samples.
__device__ __forceinline__ void add_runs(const float* sums, float* out, int columns, int runs) {
    int column = blockIdx.x * THREADS + threadIdx.x;
    if (column >= columns) return;
    float sum = 0.0f;
    for (int run = 0; run < runs; run++) sum += sums[((size_t)blockIdx.y * runs + run) * columns + column];
    out[(size_t)blockIdx.y * columns + column] = sum;
}
