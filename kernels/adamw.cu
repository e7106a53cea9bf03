// Launched by src/ops/adamw/cuda.rs.
// supports: sm_75+; f32
//
// Optimiser steps over any number of tensors in one launch. A table names each tensor's memory; a block has one part of one tensor, of 4096 elements at
// most, as `parts` says.
//     adamw_step         g = scale · gradient + decay · value;  m' = m + (1 - beta1)(g - m);  v' = beta2 v + (1 - beta2) g²
//                        value' = keep · value + step · m' / (sqrt(v') / correction + epsilon)
//     adamw_square_sums  the sum of squares of each part, for the gradients' norm
//     adamw_average      average' = average + share · (value - average)
// A missing gradient counts as zeros. Products and sums are not fused, in the order of torch.optim.AdamW (`_single_tensor_adamw`).
//
// Shapes: counts [tensors]; parts [blocks, 2]: tensor, part of it; coefficients [tensors, 4]: keep, decay, correction, step. Grid: x = blocks, 256 threads.
// Reads and writes each number once. Floor: 28 bytes a number (step), 4 (sums), 12 (average) over the memory's bandwidth.
#include "common/reduce.cuh"

constexpr int THREADS = 256;
constexpr int PART = 4096;

// The elements of this block's tensor that this thread has: f(index) for each.
template <class F>
__device__ __forceinline__ void for_each(const int* counts, const int* parts, F f) {
    int tensor = parts[2 * blockIdx.x];
    size_t first = (size_t)parts[2 * blockIdx.x + 1] * PART, end = min(first + PART, (size_t)counts[tensor]);
    for (size_t index = first + threadIdx.x; index < end; index += THREADS) f(index);
}

extern "C" __global__ void __launch_bounds__(256) adamw_step(
    const float* const* gradients, const float* const* values, const float* const* first, const float* const* second, float* const* new_values,
    float* const* new_first, float* const* new_second, const int* counts, const int* parts, const float* coefficients, float scale, float beta2,
    float one_minus_beta1, float one_minus_beta2, float epsilon) {
    int tensor = parts[2 * blockIdx.x];
    const float* own = coefficients + 4 * tensor;
    float keep = own[0], decay = own[1], correction = own[2], step = own[3];
    const float* gradient_of = gradients[tensor];
    for_each(counts, parts, [&](size_t index) {
        float value = values[tensor][index], m = first[tensor][index], v = second[tensor][index];
        float gradient = gradient_of ? gradient_of[index] : 0.0f;
        gradient = __fadd_rn(__fmul_rn(gradient, scale), __fmul_rn(decay, value));
        m = __fadd_rn(m, __fmul_rn(one_minus_beta1, gradient - m));
        v = __fadd_rn(__fmul_rn(v, beta2), __fmul_rn(__fmul_rn(one_minus_beta2, gradient), gradient));
        float denominator = __fadd_rn(__fdiv_rn(__fsqrt_rn(v), correction), epsilon);
        new_first[tensor][index] = m;
        new_second[tensor][index] = v;
        new_values[tensor][index] = __fadd_rn(__fmul_rn(value, keep), __fdiv_rn(__fmul_rn(step, m), denominator));
    });
}

extern "C" __global__ void __launch_bounds__(256) adamw_square_sums(const float* const* gradients, const int* counts, const int* parts, float* sums) {
    const float* gradient = gradients[parts[2 * blockIdx.x]];
    float sum = 0.0f;
    for_each(counts, parts, [&](size_t index) { sum += gradient[index] * gradient[index]; });
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256) adamw_average(const float* const* averages, const float* const* values, float* const* new_averages, const int* counts, const int* parts, float share) {
    int tensor = parts[2 * blockIdx.x];
    for_each(counts, parts, [&](size_t index) {
        float average = averages[tensor][index];
        new_averages[tensor][index] = __fadd_rn(average, __fmul_rn(share, values[tensor][index] - average));
    });
}
