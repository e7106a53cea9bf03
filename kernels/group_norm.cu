// Launched by src/ops/group_norm/cuda.rs (and by batch_norm, the case of one sample whose groups are its channels).
//
// y = activation(z), z = (x - mean) · inverse · weight + bias; mean and inverse = 1 / sqrt(variance + epsilon) over a group's channels and all positions.
// With s = dy · activation'(z):  dbias = sum of s,  dweight = sum of s (x - mean) inverse,
//   dx = s · inverse · weight - (A + (x - mean) B), A = inverse / n · sum of s weight, B = inverse³ / n · sum of s weight (x - mean) over the group.
//
// Shapes: x, y [samples, positions, channels]; weight, bias [channels]; statistics [samples, groups, 2] f32 = mean, inverse.
// A group that fits in shared memory: `group_norm_strip`, one read and one write. Otherwise three launches: `group_norm_moments` over runs of positions,
// `group_norm_statistics`, `group_norm_apply`: two reads (the second from the second-level cache where x fits) and one write.
// Backward: `group_norm_gradient_sums`, `group_norm_gradient_groups`, `group_norm_gradient`: x and dy twice, dx once; parameters' gradients from the sums.
// A thread keeps one pack of neighbouring channels, so that rows are read whole and per-channel numbers stay in registers. Sums run in a fixed order.
// Grids: moments, apply, gradient_sums, gradient: x = runs of positions, y = samples; strip: x = groups, y = samples; 256 threads everywhere.
// Shared memory: strip: positions · width elements; moments and gradient_sums: up to 16 KiB + 8 bytes a channel.
// Floor: one read and one write of x over the memory's bandwidth.
#include "common/scalar.cuh"
#include "common/channels.cuh"
#include "common/reduce.cuh"

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ __forceinline__ float activate(float z, int silu) { return silu ? z * sigmoid(z) : z; }
__device__ __forceinline__ float slope(float z, int silu) {
    float s = sigmoid(z);
    return silu ? s * (1.0f + z * (1.0f - s)) : 1.0f;
}

// A column of packs of one tensor, or of the second of two whose channels lie beside each other.
struct Column {
    const element* place;  // in the first row
    int step;              // from row to row
    __device__ __forceinline__ const element* at(int row) const { return place + (size_t)row * step; }
};

// Rows [rows, channels], of which the first tensor has `first_channels` channels and the second, if there is one, the rest.
struct Rows {
    const element *first, *second;
    int channels, first_channels;
    __device__ __forceinline__ Column from(size_t row, int channel) const {
        if (channel < first_channels) return {first + row * first_channels + channel, first_channels};
        return {second + row * (channels - first_channels) + channel - first_channels, channels - first_channels};
    }
};

// moments [samples, runs, groups, 2] = mean and sum of squared deviations of a run. Sums are of differences from the run's first row, so that a large
// mean costs no digits.
template <int N>
__device__ __forceinline__ void moments_of_run(const Rows& x, float* moments, int positions, int groups, int rows_per_run, float* shared) {
    int start = blockIdx.x * rows_per_run, rows = min(rows_per_run, positions - start), channels = x.channels, width = channels / groups;
    size_t run = (size_t)blockIdx.y * positions + start;
    float *partial = shared, *totals = shared + 2 * N * THREADS;
    channel_sums<N>(channels, rows, partial, totals, [&](int channel, int lane, int lanes, float (&sum)[N], float (&squares)[N]) {
        float origin[N], value[N];
        Column column = x.from(run, channel);
        load_run<N>(origin, column.place);
        const element* place = column.at(lane);
        for (int row = lane; row < rows; row += lanes, place += lanes * column.step) {
            load_run<N>(value, place);
#pragma unroll
            for (int i = 0; i < N; i++) {
                float difference = value[i] - origin[i];
                sum[i] += difference;
                squares[i] += difference * difference;
            }
        }
    });
    for (int group = threadIdx.x; group < groups; group += THREADS) {
        float mean = 0.0f, squares = 0.0f, count = rows;
        for (int c = group * width; c < (group + 1) * width; c++) mean += load(*x.from(run, c).place) + totals[2 * c] / count;
        mean /= width;
        for (int c = group * width; c < (group + 1) * width; c++) {
            float own = load(*x.from(run, c).place) + totals[2 * c] / count;
            squares += totals[2 * c + 1] - totals[2 * c] * (totals[2 * c] / count) + count * (own - mean) * (own - mean);
        }
        float* out = moments + (((size_t)blockIdx.y * gridDim.x + blockIdx.x) * groups + group) * 2;
        out[0] = mean;
        out[1] = squares;
    }
}

extern "C" __global__ void __launch_bounds__(256) group_norm_moments(const element* x, const element* second, float* moments, int positions, int channels, int groups, int rows_per_run, int first_channels) {
    DYNAMIC_SHARED(float, shared);
    Rows rows = {x, second, channels, first_channels};
    if (channels % PACK == 0 && first_channels % PACK == 0) moments_of_run<PACK>(rows, moments, positions, groups, rows_per_run, shared);
    else moments_of_run<1>(rows, moments, positions, groups, rows_per_run, shared);
}

// The runs' moments together; a warp a group. `means` and `variances` [samples, groups] (divided by count - 1) are null or for the running averages of
// batch norm. Grid: x = samples · groups / 8.
extern "C" __global__ void __launch_bounds__(256, 4) group_norm_statistics(const float* moments, float* statistics, float* means, float* variances, int samples, int positions, int groups, int width, int runs, int rows_per_run, float epsilon) {
    int index = blockIdx.x * (THREADS / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (index >= samples * groups) return;
    const float* first = moments + ((size_t)(index / groups) * runs * groups + index % groups) * 2;
    float mean = 0.0f, squares = 0.0f;
    // Weights are shares of the whole, so that nothing large is summed.
    for (int run = lane; run < runs; run += 32) mean += first[(size_t)run * groups * 2] * (min(rows_per_run, positions - run * rows_per_run) / (float)positions);
    mean = warp_sum(mean);
    for (int run = lane; run < runs; run += 32) {
        float difference = first[(size_t)run * groups * 2] - mean, rows = min(rows_per_run, positions - run * rows_per_run);
        squares += first[(size_t)run * groups * 2 + 1] / width + rows * difference * difference;
    }
    squares = warp_sum(squares);
    if (lane > 0) return;
    statistics[2 * index] = mean;
    statistics[2 * index + 1] = rsqrtf(squares / positions + epsilon);
    if (!means) return;
    means[index] = mean;
    variances[index] = squares / positions * ((float)positions * width / ((float)positions * width - 1.0f));
}

// Statistics from given means and variances (batch norm outside training).
extern "C" __global__ void __launch_bounds__(256) group_norm_given(const float* mean, const float* variance, float* statistics, int groups, float epsilon) {
    int group = blockIdx.x * THREADS + threadIdx.x;
    if (group >= groups) return;
    statistics[2 * group] = mean[group];
    statistics[2 * group + 1] = rsqrtf(variance[group] + epsilon);
}

// The means, factors and offsets of a pack of channels.
template <int N>
struct Channels {
    float mean[N], scale[N], shift[N];
    __device__ __forceinline__ Channels(const float* statistics, const element* weight, const element* bias, int channel, int groups, int width) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            const float* own = statistics + ((size_t)blockIdx.y * groups + (channel + i) / width) * 2;
            mean[i] = own[0];
            scale[i] = load(weight[channel + i]) * own[1];
            shift[i] = load(bias[channel + i]) - mean[i] * scale[i];
        }
    }
};

template <int N>
__device__ __forceinline__ void apply_to_run(const Rows& x, const element* weight, const element* bias, const float* statistics, element* y, int positions, int groups, int rows_per_run, int silu) {
    int channels = x.channels;
    Place<N> place(channels);
    int start = blockIdx.x * rows_per_run, end = min(start + rows_per_run, positions);
    for (int pack = place.pack; pack < place.packs; pack += THREADS) {
        Channels<N> numbers(statistics, weight, bias, pack * N, groups, channels / groups);
        Column column = x.from((size_t)blockIdx.y * positions, pack * N);
        for (int row = start + place.lane; row < end; row += place.lanes) {
            size_t at = ((size_t)blockIdx.y * positions + row) * channels + pack * N;
            float value[N];
            load_run<N>(value, column.at(row));
#pragma unroll
            for (int i = 0; i < N; i++) value[i] = activate(fmaf(value[i], numbers.scale[i], numbers.shift[i]), silu);
            store_run<N>(y + at, value);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 4) group_norm_apply(const element* x, const element* second, const element* weight, const element* bias, const float* statistics, element* y, int positions, int channels, int groups, int rows_per_run, int silu, int first_channels) {
    Rows rows = {x, second, channels, first_channels};
    if (channels % PACK == 0 && first_channels % PACK == 0) apply_to_run<PACK>(rows, weight, bias, statistics, y, positions, groups, rows_per_run, silu);
    else apply_to_run<1>(rows, weight, bias, statistics, y, positions, groups, rows_per_run, silu);
}

// One group of one sample, kept in shared memory between the sums and the result.
extern "C" __global__ void __launch_bounds__(256) group_norm_strip(const element* x, const element* second, const element* weight, const element* bias, float* statistics, element* y, int positions, int channels, int groups, float epsilon, int silu, int first_channels) {
    DYNAMIC_SHARED(element, strip);
    int width = channels / groups, count = positions * width, group = blockIdx.x;
    size_t first_row = (size_t)blockIdx.y * positions, offset = first_row * channels + group * width;
    Rows rows = {x, second, channels, first_channels};
    float origin = load(*rows.from(first_row, group * width).place), sum = 0.0f, squares = 0.0f;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        element value = *rows.from(first_row + i / width, group * width + i % width).place;
        strip[i] = value;
        sum += load(value) - origin;
    }
    float mean = origin + block_sum(sum) / count;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        float difference = load(strip[i]) - mean;
        squares += difference * difference;
    }
    float inverse = rsqrtf(block_sum(squares) / count + epsilon);
    for (int i = threadIdx.x; i < count; i += THREADS) {
        int channel = group * width + i % width;
        float scale = load(weight[channel]) * inverse;
        float z = fmaf(load(strip[i]), scale, load(bias[channel]) - mean * scale);
        y[offset + (size_t)(i / width) * channels + i % width] = store<element>(activate(z, silu));
    }
    if (threadIdx.x > 0) return;
    float* own = statistics + ((size_t)blockIdx.y * groups + group) * 2;
    own[0] = mean;
    own[1] = inverse;
}

// sums [samples, runs, channels, 2] = sums of s and of s (x - mean) over a run of rows.
template <int N>
__device__ __forceinline__ void gradient_sums_of_run(const element* x, const element* weight, const element* bias, const float* statistics, const element* gradient, float* sums, int positions, int channels, int groups, int rows_per_run, int silu, float* shared) {
    int start = blockIdx.x * rows_per_run, rows = min(rows_per_run, positions - start);
    size_t offset = ((size_t)blockIdx.y * positions + start) * channels;
    float* totals = shared + 2 * N * THREADS;
    channel_sums<N>(channels, rows, shared, totals, [&](int channel, int lane, int lanes, float (&plain)[N], float (&centred)[N]) {
        Channels<N> numbers(statistics, weight, bias, channel, groups, channels / groups);
        for (int row = lane; row < rows; row += lanes) {
            float value[N], upstream[N];
            load_run<N>(value, x + offset + (size_t)row * channels + channel);
            load_run<N>(upstream, gradient + offset + (size_t)row * channels + channel);
#pragma unroll
            for (int i = 0; i < N; i++) {
                float share = upstream[i] * slope(fmaf(value[i], numbers.scale[i], numbers.shift[i]), silu);
                plain[i] += share;
                centred[i] += share * (value[i] - numbers.mean[i]);
            }
        }
    });
    float* out = sums + ((size_t)blockIdx.y * gridDim.x + blockIdx.x) * channels * 2;
    for (int i = threadIdx.x; i < 2 * channels; i += THREADS) out[i] = totals[i];
}

extern "C" __global__ void __launch_bounds__(256) group_norm_gradient_sums(const element* x, const element* weight, const element* bias, const float* statistics, const element* gradient, float* sums, int positions, int channels, int groups, int rows_per_run, int silu) {
    DYNAMIC_SHARED(float, shared);
    if (channels % PACK == 0) gradient_sums_of_run<PACK>(x, weight, bias, statistics, gradient, sums, positions, channels, groups, rows_per_run, silu, shared);
    else gradient_sums_of_run<1>(x, weight, bias, statistics, gradient, sums, positions, channels, groups, rows_per_run, silu, shared);
}

// channel_sums [samples, channels, 2] over the runs, and taken [samples, groups, 2] = A, B. Grid: x = groups, y = samples.
extern "C" __global__ void __launch_bounds__(256) group_norm_gradient_groups(const float* sums, const element* weight, const float* statistics, float* channel_sums, float* taken, int positions, int channels, int groups, int runs) {
    int width = channels / groups, group = blockIdx.x, lane = threadIdx.x % 32;
    float plain = 0.0f, centred = 0.0f;
    for (int i = threadIdx.x / 32; i < 2 * width; i += THREADS / 32) {
        int channel = group * width + i / 2;
        float sum = 0.0f;
        for (int run = lane; run < runs; run += 32) sum += sums[(((size_t)blockIdx.y * runs + run) * channels + channel) * 2 + i % 2];
        sum = warp_sum(sum);
        if (lane > 0) continue;
        channel_sums[((size_t)blockIdx.y * channels + channel) * 2 + i % 2] = sum;
        (i % 2 ? centred : plain) += sum * load(weight[channel]);
    }
    plain = block_sum(plain);
    centred = block_sum(centred);
    if (threadIdx.x > 0) return;
    size_t own = ((size_t)blockIdx.y * groups + group) * 2;
    float inverse = statistics[own + 1], count = (float)positions * width;
    taken[own] = inverse * (plain / count);
    taken[own + 1] = inverse * inverse * inverse * (centred / count);
}

template <int N>
__device__ __forceinline__ void gradient_of_run(const element* x, const element* weight, const element* bias, const float* statistics, const element* gradient, const float* taken, element* to_x, int positions, int channels, int groups, int rows_per_run, int silu) {
    Place<N> place(channels);
    int start = blockIdx.x * rows_per_run, end = min(start + rows_per_run, positions), width = channels / groups;
    for (int pack = place.pack; pack < place.packs; pack += THREADS) {
        Channels<N> numbers(statistics, weight, bias, pack * N, groups, width);
        float plain[N], centred[N];
#pragma unroll
        for (int i = 0; i < N; i++) {
            size_t own = ((size_t)blockIdx.y * groups + (pack * N + i) / width) * 2;
            plain[i] = taken ? taken[own] : 0.0f;
            centred[i] = taken ? taken[own + 1] : 0.0f;
        }
        for (int row = start + place.lane; row < end; row += place.lanes) {
            size_t at = ((size_t)blockIdx.y * positions + row) * channels + pack * N;
            float value[N], upstream[N];
            load_run<N>(value, x + at);
            load_run<N>(upstream, gradient + at);
#pragma unroll
            for (int i = 0; i < N; i++) {
                float share = upstream[i] * slope(fmaf(value[i], numbers.scale[i], numbers.shift[i]), silu);
                value[i] = share * numbers.scale[i] - (plain[i] + (value[i] - numbers.mean[i]) * centred[i]);
            }
            store_run<N>(to_x + at, value);
        }
    }
}

// dx; `taken` is null where the statistics are constants.
extern "C" __global__ void __launch_bounds__(256, 3) group_norm_gradient(const element* x, const element* weight, const element* bias, const float* statistics, const element* gradient, const float* taken, element* to_x, int positions, int channels, int groups, int rows_per_run, int silu) {
    if (channels % PACK == 0) gradient_of_run<PACK>(x, weight, bias, statistics, gradient, taken, to_x, positions, channels, groups, rows_per_run, silu);
    else gradient_of_run<1>(x, weight, bias, statistics, gradient, taken, to_x, positions, channels, groups, rows_per_run, silu);
}

// The parameters' gradients from the channels' sums. Grid: x = channels / 256.
extern "C" __global__ void __launch_bounds__(256) group_norm_to_parameters(const float* channel_sums, const float* statistics, element* to_weight, element* to_bias, int samples, int channels, int groups) {
    int channel = blockIdx.x * THREADS + threadIdx.x;
    if (channel >= channels) return;
    float weight = 0.0f, bias = 0.0f;
    for (int sample = 0; sample < samples; sample++) {
        const float* sums = channel_sums + ((size_t)sample * channels + channel) * 2;
        bias += sums[0];
        weight += sums[1] * statistics[((size_t)sample * groups + channel / (channels / groups)) * 2 + 1];
    }
    to_weight[channel] = store<element>(weight);
    to_bias[channel] = store<element>(bias);
}
