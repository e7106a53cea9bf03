// Launched by src/ops/weight_map/cuda.rs.
// supports: sm_75+; f32
//
// Weights of image positions from their difference d to a reference (adaptive re-weighting, paper Eq. 7; src/ops/weight_map/cpu.rs has the formulas):
//     differences  d = sum over channels of (x - reference)² / scale
//     paper        w = area · softmax(1 / d) over the mask, 0 outside; d = 0 counts as -infinity
//     official     w = area · (1 / d) / sum(1 / d) clamped to [1, 1.5], 1 outside; d = 0 counts as -1
//     balanced     w = scale / (d / mean(d) + 1/4) clamped to [1 / bound, bound] with the scale that makes its mean 1, found by halving; 1 outside
// Sums and exponents are in double: 1 / d of small differences leaves nothing of a float's fraction, and the maps are small.
//
// Shapes: x, reference [batch, positions, channels]; mask, d, w [batch, positions]. Grid: differences one thread a position; the others one block of 256
// threads an image, which reads d and the mask a few times from the cache (balanced: 62 times). Floor: one read of x and reference.
__device__ __forceinline__ double exchange(double value, int distance) { return __shfl_xor_sync(0xffffffffu, value, distance); }
#include "common/reduce.cuh"

constexpr int THREADS = 256;

extern "C" __global__ void __launch_bounds__(256) weight_map_differences(const float* x, const float* reference, float* differences, size_t positions, int channels, float scale) {
    size_t position = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (position >= positions) return;
    float sum = 0.0f;
    for (int channel = 0; channel < channels; channel++) {
        float difference = x[position * channels + channel] - reference[position * channels + channel];
        sum += difference * difference;
    }
    differences[position] = sum / scale;
}

// One image's positions, divided among the block's threads.
struct Image {
    const float *differences, *mask;
    float* weights;
    int positions;
    __device__ __forceinline__ Image(const float* differences, const float* mask, float* weights, int positions)
        : differences(differences + (size_t)blockIdx.x * positions), mask(mask + (size_t)blockIdx.x * positions), weights(weights + (size_t)blockIdx.x * positions), positions(positions) {}
    __device__ __forceinline__ bool inside(int position) const { return mask[position] > 0.5f; }
    // The sum of f(d) over the mask; every thread receives it.
    template <class F>
    __device__ __forceinline__ double sum(F f) const {
        double own = 0.0;
        for (int position = threadIdx.x; position < positions; position += THREADS)
            if (inside(position)) own += f(differences[position]);
        return block_sum(own);
    }
    // w = f(d) over the mask, `outside` elsewhere.
    template <class F>
    __device__ __forceinline__ void write(float outside, F f) const {
        for (int position = threadIdx.x; position < positions; position += THREADS) weights[position] = inside(position) ? (float)f(differences[position]) : outside;
    }
};

extern "C" __global__ void __launch_bounds__(256) weight_map_paper(const float* differences, const float* mask, float* weights, int positions) {
    Image image(differences, mask, weights, positions);
    const float infinity = __uint_as_float(0x7f800000u);
    float smallest = infinity;
    for (int position = threadIdx.x; position < positions; position += THREADS)
        if (image.inside(position) && image.differences[position] > 0.0f) smallest = fminf(smallest, image.differences[position]);
    smallest = -block_max(-smallest);
    if (smallest == infinity) return image.write(0.0f, [](float) { return 1.0; });
    double largest = 1.0 / smallest, area = image.sum([](float) { return 1.0; });
    auto exponential = [=](float d) { return d > 0.0f ? exp(1.0 / d - largest) : 0.0; };
    double sum = image.sum(exponential);
    image.write(0.0f, [=](float d) { return area * exponential(d) / sum; });
}

extern "C" __global__ void __launch_bounds__(256) weight_map_official(const float* differences, const float* mask, float* weights, int positions) {
    Image image(differences, mask, weights, positions);
    auto inverse = [](float d) { return d == 0.0f ? -1.0 : 1.0 / d; };
    double area = image.sum([](float) { return 1.0; }), sum = image.sum(inverse);
    image.write(1.0f, [=](float d) {
        double weight = sum == 0.0 ? 1.0 : area * inverse(d) / sum;
        return weight < 1.0 ? 1.0 : weight > 1.5 ? 1.5 : weight;
    });
}

extern "C" __global__ void __launch_bounds__(256) weight_map_balanced(const float* differences, const float* mask, float* weights, int positions, float bound) {
    Image image(differences, mask, weights, positions);
    double area = image.sum([](float) { return 1.0; }), mean = image.sum([](float d) { return (double)d; }) / (area > 1.0 ? area : 1.0);
    // The mean of the weights does not change when nothing differs, and there is none where a difference is not finite.
    if (!(mean > 0.0 && mean < 1e300)) return image.write(1.0f, [](float) { return 1.0; });
    double least = 1.0 / bound, most = bound;
    auto raw = [=](float d) { return 1.0 / (d / mean + 0.25); };
    auto clamped = [=](double scale, float d) {
        double weight = scale * raw(d);
        return weight < least ? least : weight > most ? most : weight;
    };
    // The average grows with the scale. Raw weights lie in (0, 4], and the smallest is that of the largest difference.
    float largest = 0.0f;
    for (int position = threadIdx.x; position < positions; position += THREADS)
        if (image.inside(position)) largest = fmaxf(largest, image.differences[position]);
    largest = block_max(largest);
    double low = 0.0, high = most / raw(largest);
    for (int halving = 0; halving < 60; halving++) {
        double middle = 0.5 * (low + high);
        if (image.sum([=](float d) { return clamped(middle, d); }) < area) low = middle;
        else high = middle;
    }
    image.write(1.0f, [=](float d) { return clamped(high, d); });
}
