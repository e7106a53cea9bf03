// Launched by src/ops/softmax/cuda.rs.
//
// p = e^(x - max) / sum of e^(x - max) over each row;  dx = p (dy - sum of p dy);
// cross-entropy of a row: log(sum of e^(x - max)) + max - x[label], its gradient (p - one-hot) / rows in f32.
//
// Shapes: x, p, dy, dx [rows, classes]; labels [rows] i32, in range; losses [rows] f32.
// A warp a row, 8 rows a block: grid x = rows / 8, 256 threads. A row is read three times (backward: twice), the later times from the caches, and written
// once. Floor: one read and one write over the memory's bandwidth.
#include "common/reduce.cuh"
#include "common/scalar.cuh"

struct Row {
    float maximum, sum;
    __device__ __forceinline__ Row(const element* x, int classes) {
        maximum = load(x[0]);
        sum = 0.0f;
        for (int i = threadIdx.x % WARP; i < classes; i += WARP) maximum = fmaxf(maximum, load(x[i]));
        maximum = warp_max(maximum);
        for (int i = threadIdx.x % WARP; i < classes; i += WARP) sum += expf(load(x[i]) - maximum);
        sum = warp_sum(sum);
    }
    __device__ __forceinline__ float probability(float value) const { return expf(value - maximum) / sum; }
};

extern "C" __global__ void __launch_bounds__(256) softmax_forward(const element* x, element* p, int rows, int classes) {
    int row = blockIdx.x * 8 + threadIdx.x / WARP;
    if (row >= rows) return;
    x += (size_t)row * classes;
    Row numbers(x, classes);
    for (int i = threadIdx.x % WARP; i < classes; i += WARP) p[(size_t)row * classes + i] = store<element>(numbers.probability(load(x[i])));
}

extern "C" __global__ void __launch_bounds__(256) softmax_gradient(const element* p, const element* gradient, element* to_x, int rows, int classes) {
    int row = blockIdx.x * 8 + threadIdx.x / WARP;
    if (row >= rows) return;
    size_t offset = (size_t)row * classes;
    float mean = 0.0f;
    for (int i = threadIdx.x % WARP; i < classes; i += WARP) mean += load(p[offset + i]) * load(gradient[offset + i]);
    mean = warp_sum(mean);
    for (int i = threadIdx.x % WARP; i < classes; i += WARP) to_x[offset + i] = store<element>(load(p[offset + i]) * (load(gradient[offset + i]) - mean));
}

extern "C" __global__ void __launch_bounds__(256) softmax_cross_entropy(const element* x, const int* labels, float* losses, float* gradient, int rows, int classes) {
    int row = blockIdx.x * 8 + threadIdx.x / WARP;
    if (row >= rows) return;
    x += (size_t)row * classes;
    Row numbers(x, classes);
    int label = labels[row];
    for (int i = threadIdx.x % WARP; i < classes; i += WARP)
        gradient[(size_t)row * classes + i] = (numbers.probability(load(x[i])) - (i == label ? 1.0f : 0.0f)) / rows;
    if (threadIdx.x % WARP == 0) losses[row] = logf(numbers.sum) + numbers.maximum - load(x[label]);
}

// The mean of the rows' losses. One block.
extern "C" __global__ void __launch_bounds__(256) softmax_mean_loss(const float* losses, float* loss, int rows) {
    float sum = 0.0f;
    for (int row = threadIdx.x; row < rows; row += 256) sum += losses[row];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *loss = sum / rows;
}

// out = upstream · gradient, rounded to the element type. Grid: x = elements / 256.
extern "C" __global__ void __launch_bounds__(256) softmax_scaled_gradient(const float* gradient, const float* upstream, element* out, int elements) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i < elements) out[i] = store<element>(*upstream * gradient[i]);
}
