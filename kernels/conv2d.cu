// Launched by src/ops/conv2d/cuda.rs.
//
// Two-dimensional cross-correlation as an implicit matrix product: windows are read where they lie, nothing is unfolded in memory.
//   y[b, oy, ox, o] = scale · sum over ky, kx, c of x[b, oy · stride - top + ky, ox · stride - left + kx, c] · W[o, ky, kx, c] + bias[o]
//                     + per_channel[b, o] + residual[b, oy, ox, o]
//   The image may be two whose channels lie beside each other, and each of its pixels may be met twice along both axes: neither is written first.
//   dx: the same product with dy as the image, read at (y + top - ky) / stride where that is whole;  dW = scale · dyᵀ · windows;  dbias, dper_channel = sums
//   of dy.
//
// Shapes: x, dx [batch, height, width, inputs], forward x [.., first inputs] and second [.., the rest] or null; `doubled` 1: both [batch, half height, half
// width, ..], halves rounded up; weight, dW [outputs, kernel height, kernel width, inputs]; y, dy, residual [batch, out height, out width,
// outputs]; bias [outputs], per_channel [batch, outputs], residual: null where absent; parts f32 [splits, the result's shape] or null.
// `..._plain`: any architecture, type and shape, tiles of 64 x 64. The others: tensor cores, f16 and bf16, sm_80 and up, where inputs and first inputs (for
// dx outputs, for dW both) are multiples of 8; the tile (rows x columns of the product) is in the name and is chosen by shape.
// M, N, K of the products: forward: batch · out cells, outputs, window; dx: batch · cells, inputs, taps · outputs; dW: outputs, window, batch · out cells.
// Grid: x = tiles of N · tiles of M, z = splits of K, whose parts `conv2d_add_parts` adds in order.
// Reads: windows once a tile of N (nine times each pixel for 3 x 3, eight of them from the caches), weights once a tile of M; writes the result once.
// Shared memory: 4 stages of 32 steps of depth, 80 KiB at 128 x 128 (plain: 9 KiB). Registers: 64 sums a thread at 128 x 128 (plain: 16).
// Floor: 2 · M · N · K FLOP at the tensor cores' rate, or the bytes of x, W and y over the memory's bandwidth.
#include "common/channels.cuh"
#include "common/product.cuh"

extern "C" __global__ void __launch_bounds__(256) conv2d_forward_plain(const element* x, const element* weight, const element* second, const element* bias, const element* per_channel, const element* residual, element* y, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width, int first_inputs, int doubled) {
    WindowsAlong a = {{x, second, batch, height, width, inputs, first_inputs, doubled, out_height, out_width, kernel_height, kernel_width, stride, -top, -left, 1, 1}};
    int depth = a.windows.window(), cells = out_height * out_width;
    DenseAlong b = {weight, outputs, depth, depth};
    plain_product(a, b, depth, {y, parts, bias, per_channel, residual, scale, batch * cells, outputs, cells});
}

extern "C" __global__ void __launch_bounds__(256) conv2d_to_x_plain(const element* gradient, const element* weight, element* to_x, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width) {
    WindowsAlong a = {{gradient, nullptr, batch, out_height, out_width, outputs, outputs, 0, height, width, kernel_height, kernel_width, 1, top, left, -1, stride}};
    WeightAcross b = {weight, outputs, kernel_height * kernel_width, inputs};
    plain_product(a, b, a.windows.window(), {to_x, parts, nullptr, nullptr, nullptr, scale, a.windows.cells(), inputs, 1});
}

extern "C" __global__ void __launch_bounds__(256) conv2d_to_weight_plain(const element* gradient, const element* x, element* to_weight, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width) {
    WindowsAcross b = {{x, nullptr, batch, height, width, inputs, inputs, 0, out_height, out_width, kernel_height, kernel_width, stride, -top, -left, 1, 1}};
    int cells = b.windows.cells();
    DenseAcross a = {gradient, outputs, cells, outputs};
    plain_product(a, b, cells, {to_weight, parts, nullptr, nullptr, nullptr, scale, outputs, b.windows.window(), 1});
}

// Adds the parts of a split product, and what is added behind it. Grid: x = rows · columns / 256.
extern "C" __global__ void __launch_bounds__(256) conv2d_add_parts(const element* bias, const element* per_channel, const element* residual, element* out, float* parts, float scale, int rows, int columns, int cells, int splits) {
    add_parts({out, parts, bias, per_channel, residual, scale, rows, columns, cells}, splits);
}

// dbias, first step: sums [runs, columns] over runs of rows. Grid: x = runs, y = samples; dynamic shared memory 16 KiB + 8 bytes a column.
extern "C" __global__ void __launch_bounds__(256) conv2d_column_sums(const element* gradient, float* sums, int rows, int columns, int rows_per_run) {
    DYNAMIC_SHARED(float, shared);
    if (columns % PACK == 0) column_sums_of_run<PACK>(gradient, sums, rows, columns, rows_per_run, shared);
    else column_sums_of_run<1>(gradient, sums, rows, columns, rows_per_run, shared);
}

// Second step: the runs in their order. Grid: x = columns / 256, y = samples.
extern "C" __global__ void __launch_bounds__(256) conv2d_add_runs(const float* sums, float* out, int columns, int runs) {
    add_runs(sums, out, columns, runs);
}

#if ELEMENT != 0 && __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(256) conv2d_forward_128x128(const element* x, const element* weight, const element* second, const element* bias, const element* per_channel, const element* residual, element* y, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width, int first_inputs, int doubled) {
    DYNAMIC_SHARED(element, shared);
    WindowsAlong a = {{x, second, batch, height, width, inputs, first_inputs, doubled, out_height, out_width, kernel_height, kernel_width, stride, -top, -left, 1, 1}};
    int depth = a.windows.window(), cells = out_height * out_width;
    DenseAlong b = {weight, outputs, depth, depth};
    tensor_product<128, 128, 64>(a, b, depth, {y, parts, bias, per_channel, residual, scale, batch * cells, outputs, cells}, shared);
}

extern "C" __global__ void __launch_bounds__(128) conv2d_forward_128x64(const element* x, const element* weight, const element* second, const element* bias, const element* per_channel, const element* residual, element* y, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width, int first_inputs, int doubled) {
    DYNAMIC_SHARED(element, shared);
    WindowsAlong a = {{x, second, batch, height, width, inputs, first_inputs, doubled, out_height, out_width, kernel_height, kernel_width, stride, -top, -left, 1, 1}};
    int depth = a.windows.window(), cells = out_height * out_width;
    DenseAlong b = {weight, outputs, depth, depth};
    tensor_product<128, 64, 64>(a, b, depth, {y, parts, bias, per_channel, residual, scale, batch * cells, outputs, cells}, shared);
}

extern "C" __global__ void __launch_bounds__(128) conv2d_forward_64x64(const element* x, const element* weight, const element* second, const element* bias, const element* per_channel, const element* residual, element* y, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width, int first_inputs, int doubled) {
    DYNAMIC_SHARED(element, shared);
    WindowsAlong a = {{x, second, batch, height, width, inputs, first_inputs, doubled, out_height, out_width, kernel_height, kernel_width, stride, -top, -left, 1, 1}};
    int depth = a.windows.window(), cells = out_height * out_width;
    DenseAlong b = {weight, outputs, depth, depth};
    tensor_product<64, 64, 32>(a, b, depth, {y, parts, bias, per_channel, residual, scale, batch * cells, outputs, cells}, shared);
}

extern "C" __global__ void __launch_bounds__(256) conv2d_to_x_128x128(const element* gradient, const element* weight, element* to_x, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width) {
    DYNAMIC_SHARED(element, shared);
    WindowsAlong a = {{gradient, nullptr, batch, out_height, out_width, outputs, outputs, 0, height, width, kernel_height, kernel_width, 1, top, left, -1, stride}};
    WeightAcross b = {weight, outputs, kernel_height * kernel_width, inputs};
    tensor_product<128, 128, 64>(a, b, a.windows.window(), {to_x, parts, nullptr, nullptr, nullptr, scale, a.windows.cells(), inputs, 1}, shared);
}

extern "C" __global__ void __launch_bounds__(128) conv2d_to_x_128x64(const element* gradient, const element* weight, element* to_x, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width) {
    DYNAMIC_SHARED(element, shared);
    WindowsAlong a = {{gradient, nullptr, batch, out_height, out_width, outputs, outputs, 0, height, width, kernel_height, kernel_width, 1, top, left, -1, stride}};
    WeightAcross b = {weight, outputs, kernel_height * kernel_width, inputs};
    tensor_product<128, 64, 64>(a, b, a.windows.window(), {to_x, parts, nullptr, nullptr, nullptr, scale, a.windows.cells(), inputs, 1}, shared);
}

extern "C" __global__ void __launch_bounds__(128) conv2d_to_x_64x64(const element* gradient, const element* weight, element* to_x, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width) {
    DYNAMIC_SHARED(element, shared);
    WindowsAlong a = {{gradient, nullptr, batch, out_height, out_width, outputs, outputs, 0, height, width, kernel_height, kernel_width, 1, top, left, -1, stride}};
    WeightAcross b = {weight, outputs, kernel_height * kernel_width, inputs};
    tensor_product<64, 64, 32>(a, b, a.windows.window(), {to_x, parts, nullptr, nullptr, nullptr, scale, a.windows.cells(), inputs, 1}, shared);
}

extern "C" __global__ void __launch_bounds__(256) conv2d_to_weight_128x128(const element* gradient, const element* x, element* to_weight, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width) {
    DYNAMIC_SHARED(element, shared);
    WindowsAcross b = {{x, nullptr, batch, height, width, inputs, inputs, 0, out_height, out_width, kernel_height, kernel_width, stride, -top, -left, 1, 1}};
    int cells = b.windows.cells();
    DenseAcross a = {gradient, outputs, cells, outputs};
    tensor_product<128, 128, 64>(a, b, cells, {to_weight, parts, nullptr, nullptr, nullptr, scale, outputs, b.windows.window(), 1}, shared);
}

extern "C" __global__ void __launch_bounds__(128) conv2d_to_weight_128x64(const element* gradient, const element* x, element* to_weight, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width) {
    DYNAMIC_SHARED(element, shared);
    WindowsAcross b = {{x, nullptr, batch, height, width, inputs, inputs, 0, out_height, out_width, kernel_height, kernel_width, stride, -top, -left, 1, 1}};
    int cells = b.windows.cells();
    DenseAcross a = {gradient, outputs, cells, outputs};
    tensor_product<128, 64, 64>(a, b, cells, {to_weight, parts, nullptr, nullptr, nullptr, scale, outputs, b.windows.window(), 1}, shared);
}

extern "C" __global__ void __launch_bounds__(128) conv2d_to_weight_64x64(const element* gradient, const element* x, element* to_weight, float* parts, float scale, int batch, int height, int width, int inputs, int outputs, int kernel_height, int kernel_width, int stride, int top, int left, int out_height, int out_width) {
    DYNAMIC_SHARED(element, shared);
    WindowsAcross b = {{x, nullptr, batch, height, width, inputs, inputs, 0, out_height, out_width, kernel_height, kernel_width, stride, -top, -left, 1, 1}};
    int cells = b.windows.cells();
    DenseAcross a = {gradient, outputs, cells, outputs};
    tensor_product<64, 64, 32>(a, b, cells, {to_weight, parts, nullptr, nullptr, nullptr, scale, outputs, b.windows.window(), 1}, shared);
}
#endif
