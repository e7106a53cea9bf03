// Launched by src/ops/layer_norm/cuda.rs.
//
// y = (x - mean) · inverse · weight + bias, mean and inverse = 1 / sqrt(variance + epsilon) over each row.
// With s = dy · weight:  dx = inverse · (s - mean of s - (x - mean) · inverse² · mean of s (x - mean)),
//   dweight = sum over rows of dy (x - mean) inverse, dbias = sum over rows of dy.
//
// Shapes: x, y [rows, channels]; weight, bias [channels]; statistics [rows, 2] f32 = mean, inverse.
// A warp a row, 8 rows a block. Rows of up to 2048 channels in whole packs stay in registers: one read, one write. Others are read three times, the
// later two from the caches. Backward reads x and dy twice, the second time from the first-level cache.
// The parameters' gradients: `layer_norm_parameter_sums` over runs of rows, `layer_norm_to_parameters` over the runs, in a fixed order.
// Grids: forward, gradient: x = rows / 8; parameter_sums: x = runs; to_parameters: x = channels / 256; 256 threads.
// Shared memory: parameter_sums: up to 16 KiB + 8 bytes a channel; none elsewhere.
// Floor: one read and one write of x over the memory's bandwidth.
#include "common/scalar.cuh"
#include "common/channels.cuh"
#include "common/reduce.cuh"

// Values of a row that a lane keeps.
constexpr int KEPT = 64;

__device__ __forceinline__ void row_in_registers(const element* x, const element* weight, const element* bias, element* y, float* statistic, int channels, float epsilon) {
    int lane = threadIdx.x % 32, packs = channels / PACK;
    float kept[KEPT / PACK][PACK], sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int k = 0; k < KEPT / PACK; k++) {
        if (k * 32 + lane >= packs) continue;
        load_run<PACK>(kept[k], x + (k * 32 + lane) * PACK);
#pragma unroll
        for (int i = 0; i < PACK; i++) sum += kept[k][i];
    }
    float mean = warp_sum(sum) / channels;
#pragma unroll
    for (int k = 0; k < KEPT / PACK; k++) {
        if (k * 32 + lane >= packs) continue;
#pragma unroll
        for (int i = 0; i < PACK; i++) squares += (kept[k][i] - mean) * (kept[k][i] - mean);
    }
    float inverse = rsqrtf(warp_sum(squares) / channels + epsilon);
#pragma unroll
    for (int k = 0; k < KEPT / PACK; k++) {
        int channel = (k * 32 + lane) * PACK;
        if (channel >= channels) continue;
        float scale[PACK], shift[PACK];
        load_run<PACK>(scale, weight + channel);
        load_run<PACK>(shift, bias + channel);
#pragma unroll
        for (int i = 0; i < PACK; i++) kept[k][i] = fmaf((kept[k][i] - mean) * inverse, scale[i], shift[i]);
        store_run<PACK>(y + channel, kept[k]);
    }
    if (lane > 0) return;
    statistic[0] = mean;
    statistic[1] = inverse;
}

__device__ __forceinline__ void row_of_any_length(const element* x, const element* weight, const element* bias, element* y, float* statistic, int channels, float epsilon) {
    int lane = threadIdx.x % 32;
    float sum = 0.0f, squares = 0.0f;
    for (int c = lane; c < channels; c += 32) sum += load(x[c]);
    float mean = warp_sum(sum) / channels;
    for (int c = lane; c < channels; c += 32) squares += (load(x[c]) - mean) * (load(x[c]) - mean);
    float inverse = rsqrtf(warp_sum(squares) / channels + epsilon);
    for (int c = lane; c < channels; c += 32) y[c] = store<element>(fmaf((load(x[c]) - mean) * inverse, load(weight[c]), load(bias[c])));
    if (lane > 0) return;
    statistic[0] = mean;
    statistic[1] = inverse;
}

extern "C" __global__ void __launch_bounds__(256, 2) layer_norm_forward(const element* x, const element* weight, const element* bias, element* y, float* statistics, int rows, int channels, float epsilon) {
    int row = blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= rows) return;
    size_t offset = (size_t)row * channels;
    bool fits = channels % PACK == 0 && channels <= 32 * KEPT;
    if (fits) row_in_registers(x + offset, weight, bias, y + offset, statistics + 2 * (size_t)row, channels, epsilon);
    else row_of_any_length(x + offset, weight, bias, y + offset, statistics + 2 * (size_t)row, channels, epsilon);
}

template <int N>
__device__ __forceinline__ void gradient_of_row(const element* x, const element* weight, const element* gradient, element* to_x, int channels, float mean, float inverse) {
    float plain = 0.0f, centred = 0.0f, value[N], upstream[N], scale[N];
    for (int c = threadIdx.x % 32 * N; c < channels; c += 32 * N) {
        load_run<N>(value, x + c);
        load_run<N>(upstream, gradient + c);
        load_run<N>(scale, weight + c);
#pragma unroll
        for (int i = 0; i < N; i++) {
            plain += upstream[i] * scale[i];
            centred += upstream[i] * scale[i] * (value[i] - mean);
        }
    }
    plain = warp_sum(plain) / channels;
    centred = warp_sum(centred) * inverse * inverse / channels;
    for (int c = threadIdx.x % 32 * N; c < channels; c += 32 * N) {
        load_run<N>(value, x + c);
        load_run<N>(upstream, gradient + c);
        load_run<N>(scale, weight + c);
#pragma unroll
        for (int i = 0; i < N; i++) value[i] = inverse * (upstream[i] * scale[i] - (plain + (value[i] - mean) * centred));
        store_run<N>(to_x + c, value);
    }
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_gradient(const element* x, const element* weight, const float* statistics, const element* gradient, element* to_x, int rows, int channels) {
    int row = blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= rows) return;
    size_t offset = (size_t)row * channels;
    float mean = statistics[2 * (size_t)row], inverse = statistics[2 * (size_t)row + 1];
    if (channels % PACK == 0) gradient_of_row<PACK>(x + offset, weight, gradient + offset, to_x + offset, channels, mean, inverse);
    else gradient_of_row<1>(x + offset, weight, gradient + offset, to_x + offset, channels, mean, inverse);
}

// sums [runs, channels, 2] = the rows' shares of dweight and dbias.
template <int N>
__device__ __forceinline__ void parameter_sums_of_run(const element* x, const float* statistics, const element* gradient, float* sums, int rows, int channels, int rows_per_run, float* shared) {
    int start = blockIdx.x * rows_per_run, count = min(rows_per_run, rows - start);
    float* totals = shared + 2 * N * THREADS;
    channel_sums<N>(channels, count, shared, totals, [&](int channel, int lane, int lanes, float (&to_weight)[N], float (&to_bias)[N]) {
        for (int row = start + lane; row < start + count; row += lanes) {
            float value[N], upstream[N], mean = statistics[2 * (size_t)row], inverse = statistics[2 * (size_t)row + 1];
            load_run<N>(value, x + (size_t)row * channels + channel);
            load_run<N>(upstream, gradient + (size_t)row * channels + channel);
#pragma unroll
            for (int i = 0; i < N; i++) {
                to_weight[i] += upstream[i] * ((value[i] - mean) * inverse);
                to_bias[i] += upstream[i];
            }
        }
    });
    for (int i = threadIdx.x; i < 2 * channels; i += THREADS) sums[(size_t)blockIdx.x * channels * 2 + i] = totals[i];
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_parameter_sums(const element* x, const float* statistics, const element* gradient, float* sums, int rows, int channels, int rows_per_run) {
    DYNAMIC_SHARED(float, shared);
    if (channels % PACK == 0) parameter_sums_of_run<PACK>(x, statistics, gradient, sums, rows, channels, rows_per_run, shared);
    else parameter_sums_of_run<1>(x, statistics, gradient, sums, rows, channels, rows_per_run, shared);
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_to_parameters(const float* sums, element* to_weight, element* to_bias, int channels, int runs) {
    int channel = blockIdx.x * THREADS + threadIdx.x;
    if (channel >= channels) return;
    float weight = 0.0f, bias = 0.0f;
    for (int run = 0; run < runs; run++) {
        weight += sums[((size_t)run * channels + channel) * 2];
        bias += sums[((size_t)run * channels + channel) * 2 + 1];
    }
    to_weight[channel] = store<element>(weight);
    to_bias[channel] = store<element>(bias);
}
