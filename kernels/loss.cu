// Launched by src/ops/loss/cuda.rs.
//
// loss = sum over samples of scale · sum of (w (target - prediction))²,  gradient = 2 · scale · w² (prediction - target), in one pass; w is the mask's
// value at the position, 1 without a mask. scale: a constant, or with `scales` one of each sample, 1 / (sum of its mask · channels · batch), 0 for an
// empty mask. And sums of all elements with what their gradients need.
//
// Shapes: prediction, target [samples, positions, channels] in elements; mask [samples, positions], gradient, partial sums and losses in f32. The gradient
// stays f32 until it has met the upstream factor: in f16 it would underflow.
// Grids: squared_error: x = runs of elements, y = samples; squared_error_scales: x = samples; ..._total: one block; others: x over the elements.
// 256 threads. Sums run in a fixed order. No shared memory but the reductions' 128 bytes.
// Floor: one read of prediction and target and one write of the gradient over the memory's bandwidth.
#include "common/reduce.cuh"
#include "common/scalar.cuh"

constexpr int THREADS = 256;

extern "C" __global__ void __launch_bounds__(256) squared_error_scales(const float* mask, float* scales, int samples, int positions, int channels) {
    float area = 0.0f;
    for (int i = threadIdx.x; i < positions; i += THREADS) area += mask[(size_t)blockIdx.x * positions + i];
    area = block_sum(area);
    if (threadIdx.x == 0) scales[blockIdx.x] = area > 0.0f ? 1.0f / (area * channels * samples) : 0.0f;
}

// partial [samples, runs]; `gradient` may be null.
extern "C" __global__ void __launch_bounds__(256) squared_error(const element* prediction, const element* target, const float* mask, const float* scales, float* partial, float* gradient, int positions, int channels, int elements_per_run, float scale) {
    int elements = positions * channels, end = min((int)(blockIdx.x + 1) * elements_per_run, elements);
    size_t offset = (size_t)blockIdx.y * elements;
    float sum = 0.0f, factor = 2.0f * (scales ? scales[blockIdx.y] : scale);
    for (int i = blockIdx.x * elements_per_run + threadIdx.x; i < end; i += THREADS) {
        float weight = mask ? mask[(size_t)blockIdx.y * positions + i / channels] : 1.0f;
        float difference = load(prediction[offset + i]) - load(target[offset + i]);
        sum += weight * difference * (weight * difference);
        if (gradient) gradient[offset + i] = factor * weight * weight * difference;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// The runs of every sample, times its scale.
extern "C" __global__ void __launch_bounds__(256) squared_error_total(const float* partial, const float* scales, float* loss, int samples, int runs, float scale) {
    float total = 0.0f;
    for (int sample = 0; sample < samples; sample++) {
        float sum = 0.0f;
        for (int run = threadIdx.x; run < runs; run += THREADS) sum += partial[(size_t)sample * runs + run];
        total += sum * (scales ? scales[sample] : scale);
    }
    total = block_sum(total);
    if (threadIdx.x == 0) *loss = total;
}

// out = upstream · gradient, rounded to the element type.
extern "C" __global__ void __launch_bounds__(256) scaled_gradient(const float* gradient, const float* upstream, element* out, int elements) {
    int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < elements) out[i] = store<element>(*upstream * gradient[i]);
}

// partial [runs] of all elements; `squared_error_total` with one sample adds them.
extern "C" __global__ void __launch_bounds__(256) sum_of_run(const element* x, float* partial, int elements, int elements_per_run) {
    int end = min((int)(blockIdx.x + 1) * elements_per_run, elements);
    float sum = 0.0f;
    for (int i = blockIdx.x * elements_per_run + threadIdx.x; i < end; i += THREADS) sum += load(x[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// The gradient of a sum: every element is upstream · factor.
extern "C" __global__ void __launch_bounds__(256) sum_gradient(const float* upstream, element* out, int elements, float factor) {
    int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < elements) out[i] = store<element>(*upstream * factor);
}
