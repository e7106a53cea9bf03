// Launched by src/ops/elementwise/cuda.rs.
//
// unary: y = f(x);  unary_gradient: to_x = dy · f'(x);  binary: y = f(a, b);  geglu: y = a · gelu(b) for the halves a, b of a row.
// broadcast: y = f(x, small), x seen as [outer, repeat, inner], small as [outer, inner];  sum_repeats…: small = sum over repeat of x (· factor).
// A new function is a name in its enum here, a line in its switch, and a row in src/ops/elementwise/cuda.rs.
//
// Grids, 256 threads: unary, unary_gradient, binary: x = count / 1024; broadcast: x = count / 1024; geglu…: x = rows · width / 256.
// sum_repeats_columns: x = inner / 32, y = outer, z = runs of `rows_per_run` repeats, parts [runs, outer, inner] f32; sum_parts: x = count / 256.
// sum_repeats_rows (inner = 1): x = outer / 8, a warp a row. Every element is read and written once; sums run in an order that is fixed by the shape.
// Floor: the bytes read and written over the memory's bandwidth.
#include "common/flat.cuh"
#include "common/reduce.cuh"

// The order of `code` in src/ops/elementwise/cuda.rs.
enum Unary { SWISH, GELU, LEAKY_RELU, SIGMOID, TANH, EXP, ABS, CLAMP, AFFINE };
enum Binary { ADD, SUB, MUL, PRELU, PRELU_SLOPE };

constexpr float HALF_ROOT = 0.70710678118654752f;      // 1 / sqrt(2)
constexpr float NORMAL_PEAK = 0.39894228040143268f;    // 1 / sqrt(2 pi)

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ __forceinline__ float gelu(float x) { return 0.5f * x * (1.0f + erff(x * HALF_ROOT)); }
__device__ __forceinline__ float gelu_slope(float x) { return 0.5f * (1.0f + erff(x * HALF_ROOT)) + x * NORMAL_PEAK * expf(-0.5f * x * x); }
__device__ __forceinline__ float swish_slope(float x, float scale) {
    float s = sigmoid(scale * x);
    return s + scale * x * s * (1.0f - s);
}

// Keeps NaN.
__device__ __forceinline__ float limited(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

extern "C" __global__ void __launch_bounds__(256) unary(const element* x, element* y, size_t count, int op, float p, float q) {
    switch (op) {
        case SWISH: return map_flat(x, y, count, [=](float v) { return v * sigmoid(p * v); });
        case GELU: return map_flat(x, y, count, [](float v) { return gelu(v); });
        case LEAKY_RELU: return map_flat(x, y, count, [=](float v) { return v > 0.0f ? v : p * v; });
        case SIGMOID: return map_flat(x, y, count, [](float v) { return sigmoid(v); });
        case TANH: return map_flat(x, y, count, [](float v) { return tanhf(v); });
        case EXP: return map_flat(x, y, count, [](float v) { return expf(v); });
        case ABS: return map_flat(x, y, count, [](float v) { return fabsf(v); });
        case CLAMP: return map_flat(x, y, count, [=](float v) { return limited(v, p, q); });
        case AFFINE: return map_flat(x, y, count, [=](float v) { return fmaf(p, v, q); });
    }
}

extern "C" __global__ void __launch_bounds__(256) unary_gradient(const element* x, const element* gradient, element* to_x, size_t count, int op, float p, float q) {
    switch (op) {
        case SWISH: return map_flat(x, gradient, to_x, count, [=](float v, float g) { return g * swish_slope(v, p); });
        case GELU: return map_flat(x, gradient, to_x, count, [](float v, float g) { return g * gelu_slope(v); });
        case LEAKY_RELU: return map_flat(x, gradient, to_x, count, [=](float v, float g) { return v > 0.0f ? g : p * g; });
        case SIGMOID: return map_flat(x, gradient, to_x, count, [](float v, float g) { return g * sigmoid(v) * (1.0f - sigmoid(v)); });
        case TANH: return map_flat(x, gradient, to_x, count, [](float v, float g) { return g * (1.0f - tanhf(v) * tanhf(v)); });
        case EXP: return map_flat(x, gradient, to_x, count, [](float v, float g) { return g * expf(v); });
        case ABS: return map_flat(x, gradient, to_x, count, [](float v, float g) { return v > 0.0f ? g : v < 0.0f ? -g : 0.0f; });
        case CLAMP: return map_flat(x, gradient, to_x, count, [=](float v, float g) { return v < p || v > q ? 0.0f : g; });
        case AFFINE: return map_flat(x, gradient, to_x, count, [=](float, float g) { return g * p; });
    }
}

__device__ __forceinline__ float combine(int op, float a, float b) {
    switch (op) {
        case ADD: return a + b;
        case SUB: return a - b;
        case MUL: return a * b;
        case PRELU: return a > 0.0f ? a : b * a;
        default: return a > 0.0f ? 1.0f : b;  // PRELU_SLOPE
    }
}

extern "C" __global__ void __launch_bounds__(256) binary(const element* a, const element* b, element* y, size_t count, int op) {
    map_flat(a, b, y, count, [=](float left, float right) { return combine(op, left, right); });
}

// `Index` is 32 bits wide where that is enough: 64-bit divisions would take longer than the memory does.
template <class Index>
__device__ __forceinline__ void broadcast_run(const element* x, const element* small, element* y, Index count, Index repeat, Index inner, int op) {
    Index first = (Index)flat_first();
    if (flat_first() >= count) return;
    Index row = first / inner, column = first - row * inner;
    for (Index i = first; i < count && i - first < FLAT_RUN; i++) {
        y[i] = store<element>(combine(op, load(x[i]), load(small[row / repeat * inner + column])));
        if (++column == inner) {
            column = 0;
            row++;
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) broadcast(const element* x, const element* small, element* y, size_t count, int repeat, int inner, int op) {
    if (count <= 0x7fffffffu) broadcast_run<unsigned>(x, small, y, (unsigned)count, repeat, inner, op);
    else broadcast_run<size_t>(x, small, y, count, repeat, inner, op);
}

// parts[run, block, column] = the sum over the run's repeats; `factor` may be null. 32 columns and 8 rows of threads.
extern "C" __global__ void __launch_bounds__(256) sum_repeats_columns(const element* x, const element* factor, float* parts, int outer, int repeat, int inner, int rows_per_run) {
    __shared__ float of_lane[8][32];
    int column = blockIdx.x * 32 + threadIdx.x % 32, lane = threadIdx.x / 32;
    int start = blockIdx.z * rows_per_run, end = min(start + rows_per_run, repeat);
    float sum = 0.0f;
    if (column < inner) {
        for (int row = start + lane; row < end; row += 8) {
            size_t i = ((size_t)blockIdx.y * repeat + row) * inner + column;
            sum += factor == nullptr ? load(x[i]) : load(x[i]) * load(factor[i]);
        }
    }
    of_lane[lane][threadIdx.x % 32] = sum;
    __syncthreads();
    if (lane == 0 && column < inner) {
        for (int other = 1; other < 8; other++) sum += of_lane[other][threadIdx.x];
        parts[((size_t)blockIdx.z * outer + blockIdx.y) * inner + column] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(256) sum_parts(const float* parts, element* sums, size_t count, int runs) {
    size_t i = (size_t)blockIdx.x * 256 + threadIdx.x;
    if (i >= count) return;
    float sum = 0.0f;
    for (int run = 0; run < runs; run++) sum += parts[run * count + i];
    sums[i] = store<element>(sum);
}

extern "C" __global__ void __launch_bounds__(256) sum_repeats_rows(const element* x, const element* factor, element* sums, size_t rows, int repeat) {
    size_t row = (size_t)blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= rows) return;
    float sum = 0.0f;
    for (int i = threadIdx.x % 32; i < repeat; i += 32) {
        size_t at = row * repeat + i;
        sum += factor == nullptr ? load(x[at]) : load(x[at]) * load(factor[at]);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) sums[row] = store<element>(sum);
}

extern "C" __global__ void __launch_bounds__(256) geglu(const element* x, element* y, size_t rows, int width) {
    size_t i = (size_t)blockIdx.x * 256 + threadIdx.x, row = i / width, column = i - row * width;
    if (row >= rows) return;
    const element* pair = x + 2 * row * width + column;
    y[i] = store<element>(load(pair[0]) * gelu(load(pair[width])));
}

extern "C" __global__ void __launch_bounds__(256) geglu_gradient(const element* x, const element* gradient, element* to_x, size_t rows, int width) {
    size_t i = (size_t)blockIdx.x * 256 + threadIdx.x, row = i / width, column = i - row * width;
    if (row >= rows) return;
    size_t at = 2 * row * width + column;
    float a = load(x[at]), b = load(x[at + width]), g = load(gradient[i]);
    to_x[at] = store<element>(g * gelu(b));
    to_x[at + width] = store<element>(g * a * gelu_slope(b));
}
