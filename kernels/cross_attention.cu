// Launched by src/ops/cross_attention/cuda.rs.
// supports: sm_80+; f16, bf16
//
// The re-weighted cross-attention in one kernel, for at most 80 columns (a text has 77):
//   l = scale · q kᵀ;  l *= logit weight on marked columns;  p = softmax(l);  p *= probability weight on marked columns;  output = p v
// per sample, head and position. f16 and bf16, sm_80 and up, head widths 40, 64, 80, 128, 160; other widths, f32, more columns: attention_plain.cu.
//
// Shapes: q, output [batch, rows, heads · width]; k, v [batch, columns, heads · width]; marks [batch, columns], weights [batch, rows] in f32, or null;
// statistics [batch, heads, rows, 2] f32 = largest logit, 1 / sum of e^(logit - largest), for the backward of attention.cu and attention_plain.cu.
// Grid: x = blocks per head, each of which takes every gridDim.x-th tile of 64 rows; y = heads, z = batch; 128 threads, a warp 16 rows.
// Reads: q once, k and v once a block (they stay in shared memory for all its tiles). Writes: output and statistics once. The probabilities, 16 x 80 a
// warp, live in registers and never reach memory.
// Shared memory: 2 · 80 · (padded width + 8) elements: 18 KiB at width 40, 54 KiB at 160.
// Floor: bytes of q and output over the memory's bandwidth (4 · 80 FLOP an element of q are below the tensor cores' time).
#include "common/attention_tiles.cuh"

#if ELEMENT != 0 && __CUDA_ARCH__ >= 800
constexpr int COLUMNS = 80;
constexpr int ROWS = 64;
constexpr int THREADS = 128;

// Turns products into weighted probabilities of rows whose weights are given; the statistics of rows l/4 and l/4 + 8 come back.
__device__ __forceinline__ void reweight(float (&p)[COLUMNS / 8][4], int columns, unsigned marked, float scale, const float (&logit)[2], const float (&probability)[2], float (&maximum)[2], float (&inverse)[2]) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float largest = LOWEST, sum = 0.0f;
#pragma unroll
        for (int i = 0; i < COLUMNS / 4; i++) {
            float& value = p[i / 2][2 * h + i % 2];
            int column = i / 2 * 8 + lane % 4 * 2 + i % 2;
            value = column < columns ? value * scale * (marked >> i & 1u ? logit[h] : 1.0f) : LOWEST;
            largest = fmaxf(largest, value);
        }
        maximum[h] = row_max(largest);
#pragma unroll
        for (int i = 0; i < COLUMNS / 4; i++) {
            float& value = p[i / 2][2 * h + i % 2];
            value = exp2f((value - maximum[h]) * LOG2E);
            sum += value;
            value *= marked >> i & 1u ? probability[h] : 1.0f;
        }
        inverse[h] = 1.0f / row_sum(sum);
    }
}

template <int WIDTH>
__device__ __forceinline__ void forward(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, element* output, float* statistics, int heads, int rows, int columns, float scale, element* shared) {
    constexpr int PITCH = Width<WIDTH>::PITCH, STEPS = Width<WIDTH>::PADDED / 16;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, stride = heads * WIDTH, batch = blockIdx.z;
    element *keys = shared, *values = shared + COLUMNS * PITCH;
    size_t column_offset = ((size_t)batch * columns) * stride + blockIdx.y * WIDTH, row_offset = ((size_t)batch * rows) * stride + blockIdx.y * WIDTH;
    fetch_vectors<WIDTH, COLUMNS, THREADS>(keys, k + column_offset, 0, columns, stride);
    fetch_vectors<WIDTH, COLUMNS, THREADS>(values, v + column_offset, 0, columns, stride);
    copy_async_commit();
    // Bit i: the lane's i-th column is marked.
    unsigned marked = 0;
    for (int i = 0; marks && i < COLUMNS / 4; i++) {
        int column = i / 2 * 8 + lane % 4 * 2 + i % 2;
        marked |= (unsigned)(column < columns && marks[batch * columns + column] != 0.0f) << i;
    }
    copy_async_wait<0>();
    __syncthreads();
    for (int first = blockIdx.x * ROWS + warp * 16; first < rows; first += gridDim.x * ROWS) {
        float p[COLUMNS / 8][4];
        clear_tiles(p);
        unsigned a[STEPS][4];
        load_fragments<WIDTH, STEPS>(a, q + row_offset, first, rows, stride, 0);
#pragma unroll
        for (int step = 0; step < STEPS; step++) multiply_step<COLUMNS, PITCH>(p, a[step], keys, step);
        float logit_weights[2], weights[2], maximum[2], inverse[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int row = first + lane / 4 + 8 * h;
            logit_weights[h] = logit && row < rows ? logit[(size_t)batch * rows + row] : 1.0f;
            weights[h] = probability && row < rows ? probability[(size_t)batch * rows + row] : 1.0f;
        }
        reweight(p, columns, marked, scale, logit_weights, weights, maximum, inverse);
        float sums[2 * STEPS][4];
        clear_tiles(sums);
        combine<COLUMNS, PITCH>(sums, p, values);
        write_rows<WIDTH>(output + row_offset, sums, inverse, first, rows, stride, 0);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int row = first + lane / 4 + 8 * h;
            if (lane % 4 > 0 || row >= rows) continue;
            float* statistic = statistics + (((size_t)batch * heads + blockIdx.y) * rows + row) * 2;
            statistic[0] = maximum[h];
            statistic[1] = inverse[h];
        }
    }
}

extern "C" __global__ void __launch_bounds__(128) cross_attention_40(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, element* output, float* statistics, int heads, int rows, int columns, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<40>(q, k, v, marks, probability, logit, output, statistics, heads, rows, columns, scale, shared);
}

extern "C" __global__ void __launch_bounds__(128) cross_attention_64(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, element* output, float* statistics, int heads, int rows, int columns, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<64>(q, k, v, marks, probability, logit, output, statistics, heads, rows, columns, scale, shared);
}

extern "C" __global__ void __launch_bounds__(128) cross_attention_80(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, element* output, float* statistics, int heads, int rows, int columns, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<80>(q, k, v, marks, probability, logit, output, statistics, heads, rows, columns, scale, shared);
}

extern "C" __global__ void __launch_bounds__(128) cross_attention_128(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, element* output, float* statistics, int heads, int rows, int columns, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<128>(q, k, v, marks, probability, logit, output, statistics, heads, rows, columns, scale, shared);
}

extern "C" __global__ void __launch_bounds__(128) cross_attention_160(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, element* output, float* statistics, int heads, int rows, int columns, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<160>(q, k, v, marks, probability, logit, output, statistics, heads, rows, columns, scale, shared);
}

#endif
