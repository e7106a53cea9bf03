// Launched by src/ops/resize/cuda.rs.
//
// Images of other sizes, `from` [batch, from_height, from_width, channels] to `to`: nearest up-sampling by a factor, bilinear with PyTorch's coordinates
// (`area_pixel_compute_source_index`), means over windows (adaptive pooling, and around every pixel) and maxima over windows, each with its transpose. A transpose gathers: every
// input adds up the outputs that used it, in their order, so no two threads write one place.
//
// Grid: x over the elements that are written, 256 threads; neighbouring threads have neighbouring channels. Each result is written once; inputs are read
// once per use, mostly from the caches. No shared memory. Floor: one read of x and one write of y over the memory's bandwidth.
#include "common/scalar.cuh"

// Where element `index` of [batch, height, width, channels] lies.
struct Position {
    int channel, x, y, sample;
    __device__ __forceinline__ Position(size_t index, int height, int width, int channels) {
        size_t pixel = index / channels, row = pixel / width;
        channel = index - pixel * channels;
        x = pixel - row * width;
        sample = row / height;
        y = row - (size_t)sample * height;
    }
};

struct Sizes {
    int batch, from_height, from_width, to_height, to_width, channels;
    __device__ __forceinline__ size_t inputs() const { return (size_t)batch * from_height * from_width * channels; }
    __device__ __forceinline__ size_t outputs() const { return (size_t)batch * to_height * to_width * channels; }
    __device__ __forceinline__ Position input(size_t index) const { return Position(index, from_height, from_width, channels); }
    __device__ __forceinline__ Position output(size_t index) const { return Position(index, to_height, to_width, channels); }
    // The element of `image`, which has the inputs' or the outputs' sizes, in this position's sample and channel.
    __device__ __forceinline__ float in(const element* image, Position at, int y, int x) const {
        return load(image[(((size_t)at.sample * from_height + y) * from_width + x) * channels + at.channel]);
    }
    __device__ __forceinline__ float out(const element* image, Position at, int y, int x) const {
        return load(image[(((size_t)at.sample * to_height + y) * to_width + x) * channels + at.channel]);
    }
};

__device__ __forceinline__ size_t thread_index() { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }

extern "C" __global__ void __launch_bounds__(256) upsample_forward(const element* x, element* y, int batch, int from_height, int from_width, int to_height, int to_width, int channels) {
    Sizes sizes = {batch, from_height, from_width, to_height, to_width, channels};
    size_t index = thread_index();
    if (index >= sizes.outputs()) return;
    Position at = sizes.output(index);
    y[index] = store<element>(sizes.in(x, at, at.y / (to_height / from_height), at.x / (to_width / from_width)));
}

extern "C" __global__ void __launch_bounds__(256) upsample_gradient(const element* gradient, element* to_x, int batch, int from_height, int from_width, int to_height, int to_width, int channels) {
    Sizes sizes = {batch, from_height, from_width, to_height, to_width, channels};
    size_t index = thread_index();
    if (index >= sizes.inputs()) return;
    Position at = sizes.input(index);
    int factor = to_height / from_height;
    float sum = 0.0f;
    for (int y = at.y * factor; y < (at.y + 1) * factor; y++)
        for (int x = at.x * factor; x < (at.x + 1) * factor; x++) sum += sizes.out(gradient, at, y, x);
    to_x[index] = store<element>(sum);
}

// The two inputs that output `index` of one axis lies between, with the upper one's weight. The products and sums are not fused, as on the CPU.
struct Tap {
    int low, high;
    float weight;
    __device__ __forceinline__ Tap(int index, int from, int to, int align_corners) {
        float scale = align_corners ? (to > 1 ? (float)(from - 1) / (float)(to - 1) : 0.0f) : (float)from / (float)to;
        float position = align_corners ? scale * index : fmaxf(__fadd_rn(__fmul_rn(scale, index + 0.5f), -0.5f), 0.0f);
        low = min((int)position, from - 1);
        high = min(low + 1, from - 1);
        weight = fminf(fmaxf(position - low, 0.0f), 1.0f);
    }
    // What output `index` takes from input `of`.
    __device__ __forceinline__ float share(int of) const { return (low == of ? 1.0f - weight : 0.0f) + (high == of ? weight : 0.0f); }
};

extern "C" __global__ void __launch_bounds__(256) bilinear_forward(const element* x, element* y, int batch, int from_height, int from_width, int to_height, int to_width, int channels, int align_corners) {
    Sizes sizes = {batch, from_height, from_width, to_height, to_width, channels};
    size_t index = thread_index();
    if (index >= sizes.outputs()) return;
    Position at = sizes.output(index);
    Tap down(at.y, from_height, to_height, align_corners), right(at.x, from_width, to_width, align_corners);
    float above = (1.0f - right.weight) * sizes.in(x, at, down.low, right.low) + right.weight * sizes.in(x, at, down.low, right.high);
    float below = (1.0f - right.weight) * sizes.in(x, at, down.high, right.low) + right.weight * sizes.in(x, at, down.high, right.high);
    y[index] = store<element>((1.0f - down.weight) * above + down.weight * below);
}

// The first output of one axis that may use input `of`: those before lie at positions under of - 1. Two more than the inverse, for rounding.
__device__ __forceinline__ int first_user(int of, int from, int to, int align_corners) {
    if (of == 0) return 0;
    float per_input = align_corners ? (from > 1 ? (float)(to - 1) / (float)(from - 1) : 0.0f) : (float)to / (float)from;
    return max(0, (int)(per_input * (of - 1)) - 2);
}

extern "C" __global__ void __launch_bounds__(256) bilinear_gradient(const element* gradient, element* to_x, int batch, int from_height, int from_width, int to_height, int to_width, int channels, int align_corners) {
    Sizes sizes = {batch, from_height, from_width, to_height, to_width, channels};
    size_t index = thread_index();
    if (index >= sizes.inputs()) return;
    Position at = sizes.input(index);
    float sum = 0.0f;
    for (int y = first_user(at.y, from_height, to_height, align_corners); y < to_height; y++) {
        Tap down(y, from_height, to_height, align_corners);
        if (down.low > at.y) break;
        float share = down.share(at.y);
        if (down.high < at.y) continue;
        for (int x = first_user(at.x, from_width, to_width, align_corners); x < to_width; x++) {
            Tap right(x, from_width, to_width, align_corners);
            if (right.low > at.x) break;
            sum += share * right.share(at.x) * sizes.out(gradient, at, y, x);
        }
    }
    to_x[index] = store<element>(sum);
}

// The inputs that output `index` averages over: first to last - 1.
__device__ __forceinline__ int window_start(int index, int from, int to) { return (int)((long long)index * from / to); }
__device__ __forceinline__ int window_end(int index, int from, int to) { return (int)(((long long)(index + 1) * from + to - 1) / to); }

extern "C" __global__ void __launch_bounds__(256) area_pool_forward(const element* x, element* y, int batch, int from_height, int from_width, int to_height, int to_width, int channels) {
    Sizes sizes = {batch, from_height, from_width, to_height, to_width, channels};
    size_t index = thread_index();
    if (index >= sizes.outputs()) return;
    Position at = sizes.output(index);
    int top = window_start(at.y, from_height, to_height), bottom = window_end(at.y, from_height, to_height);
    int left = window_start(at.x, from_width, to_width), right = window_end(at.x, from_width, to_width);
    float sum = 0.0f;
    for (int row = top; row < bottom; row++)
        for (int column = left; column < right; column++) sum += sizes.in(x, at, row, column);
    y[index] = store<element>(sum * (1.0f / (float)((bottom - top) * (right - left))));
}

extern "C" __global__ void __launch_bounds__(256) area_pool_gradient(const element* gradient, element* to_x, int batch, int from_height, int from_width, int to_height, int to_width, int channels) {
    Sizes sizes = {batch, from_height, from_width, to_height, to_width, channels};
    size_t index = thread_index();
    if (index >= sizes.inputs()) return;
    Position at = sizes.input(index);
    float sum = 0.0f;
    for (int y = max(0, window_start(at.y, to_height, from_height) - 1); y < to_height && window_start(y, from_height, to_height) <= at.y; y++) {
        int height = window_end(y, from_height, to_height) - window_start(y, from_height, to_height);
        if (window_end(y, from_height, to_height) <= at.y) continue;
        for (int x = max(0, window_start(at.x, to_width, from_width) - 1); x < to_width && window_start(x, from_width, to_width) <= at.x; x++) {
            int width = window_end(x, from_width, to_width) - window_start(x, from_width, to_width);
            if (window_end(x, from_width, to_width) > at.x) sum += 1.0f / (float)(height * width) * sizes.out(gradient, at, y, x);
        }
    }
    to_x[index] = store<element>(sum);
}

// The mean of the kernel x kernel pixels around each one, zeros beyond the border counted: its own transpose.
__device__ __forceinline__ void average_around(const element* x, element* y, Sizes sizes, int kernel) {
    size_t index = thread_index();
    if (index >= sizes.outputs()) return;
    Position at = sizes.output(index);
    int reach = kernel / 2;
    float sum = 0.0f;
    for (int row = max(0, at.y - reach); row < min(sizes.from_height, at.y + reach + 1); row++)
        for (int column = max(0, at.x - reach); column < min(sizes.from_width, at.x + reach + 1); column++) sum += sizes.in(x, at, row, column);
    y[index] = store<element>(sum * (1.0f / (float)(kernel * kernel)));
}

extern "C" __global__ void __launch_bounds__(256) average_pool_forward(const element* x, element* y, int batch, int from_height, int from_width, int to_height, int to_width, int channels, int kernel) {
    average_around(x, y, {batch, from_height, from_width, to_height, to_width, channels}, kernel);
}

extern "C" __global__ void __launch_bounds__(256) average_pool_gradient(const element* gradient, element* to_x, int batch, int from_height, int from_width, int to_height, int to_width, int channels, int kernel) {
    average_around(gradient, to_x, {batch, from_height, from_width, to_height, to_width, channels}, kernel);
}

// Maxima with, where `winners` is given, each one's position y · width + x in its sample; the first of equals. NaN wins and has no position (-1).
extern "C" __global__ void __launch_bounds__(256) max_pool_forward(const element* x, element* y, int* winners, int batch, int from_height, int from_width, int to_height, int to_width, int channels, int kernel, int stride, int padding) {
    Sizes sizes = {batch, from_height, from_width, to_height, to_width, channels};
    size_t index = thread_index();
    if (index >= sizes.outputs()) return;
    Position at = sizes.output(index);
    int top = max(0, at.y * stride - padding), bottom = min(from_height, at.y * stride - padding + kernel);
    int left = max(0, at.x * stride - padding), right = min(from_width, at.x * stride - padding + kernel), winner = -1;
    float best = __uint_as_float(0xff800000u);
    for (int row = top; row < bottom; row++)
        for (int column = left; column < right; column++) {
            float value = sizes.in(x, at, row, column);
            if (value > best || (winner < 0 && value == best)) winner = row * from_width + column;
            if (!(best >= value)) best = value;
            if (!(best == best)) winner = -1;
        }
    y[index] = store<element>(best);
    if (winners) winners[index] = winner;
}

extern "C" __global__ void __launch_bounds__(256) max_pool_gradient(const element* gradient, const int* winners, element* to_x, int batch, int from_height, int from_width, int to_height, int to_width, int channels, int kernel, int stride, int padding) {
    Sizes sizes = {batch, from_height, from_width, to_height, to_width, channels};
    size_t index = thread_index();
    if (index >= sizes.inputs()) return;
    Position at = sizes.input(index);
    int own = at.y * from_width + at.x;
    float sum = 0.0f;
    for (int y = max(0, at.y + padding - kernel + stride) / stride; y < to_height && y * stride - padding <= at.y; y++)
        for (int x = max(0, at.x + padding - kernel + stride) / stride; x < to_width && x * stride - padding <= at.x; x++) {
            size_t output = (((size_t)at.sample * to_height + y) * to_width + x) * channels + at.channel;
            if (winners[output] == own) sum += load(gradient[output]);
        }
    to_x[index] = store<element>(sum);
}
