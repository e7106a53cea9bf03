// Launched by src/ops/linear/cuda.rs.
//
// y = f(scale · x Wᵀ + bias) + residual, f of destination.cuh; gated: y = a · gelu(b) for the halves a, b of scale · x Wᵀ + bias;
// dx = scale · dy W;  dW = scale · dyᵀ x;  dbias = the column sums of dy.
//
// Shapes: x, dx [rows, inputs]; weight, dW [outputs, inputs]; bias [outputs]; y, dy, residual [rows, outputs], gated y [rows,
// outputs / 2]; bias, residual: null where absent; parts f32 [splits, the result's shape] or null.
// `..._plain`: any architecture, type and shape, tiles of 64 x 64. The others: tensor cores, f16 and bf16, sm_80 and up, where inputs (and for dx and dW
// outputs) are multiples of 8; the tile (rows x columns of the result) is in the name and is chosen by shape.
// Grid: x = tiles of the result's columns · of its rows, z = splits of the depth (weights of few rows: the only way to occupy the device). With more
// than one split the parts are added in order by `linear_add_parts`.
// Reads: each operand once a tile of the other; writes the result once. Shared memory: 4 stages of 32 steps of depth, 80 KiB at 128 x 128 (plain: 9 KiB).
// Registers: 64 sums a thread at 128 x 128 (plain: 16). Floor: 2 · rows · inputs · outputs FLOP at the tensor cores' rate, or the weights' bytes.
#include "common/channels.cuh"
#include "common/product.cuh"

extern "C" __global__ void __launch_bounds__(256) linear_forward_plain(const element* x, const element* weight, const element* bias, const element* residual, element* y, float* parts, float scale, int rows, int inputs, int outputs, int activation) {
    DenseAlong a = {x, rows, inputs, inputs}, b = {weight, outputs, inputs, inputs, activation == GEGLU ? outputs / 2 : 0};
    plain_product(a, b, inputs, {y, parts, bias, nullptr, residual, scale, rows, outputs, 1, activation});
}

extern "C" __global__ void __launch_bounds__(256) linear_to_x_plain(const element* gradient, const element* weight, element* to_x, float* parts, float scale, int rows, int inputs, int outputs) {
    DenseAlong a = {gradient, rows, outputs, outputs};
    DenseAcross b = {weight, inputs, outputs, inputs};
    plain_product(a, b, outputs, {to_x, parts, nullptr, nullptr, nullptr, scale, rows, inputs, 1});
}

extern "C" __global__ void __launch_bounds__(256) linear_to_weight_plain(const element* gradient, const element* x, element* to_weight, float* parts, float scale, int rows, int inputs, int outputs) {
    DenseAcross a = {gradient, outputs, rows, outputs}, b = {x, inputs, rows, inputs};
    plain_product(a, b, rows, {to_weight, parts, nullptr, nullptr, nullptr, scale, outputs, inputs, 1});
}

// Adds the parts of a split product, and what is behind it; never of a gated one. Grid: x = rows · columns / 256.
extern "C" __global__ void __launch_bounds__(256) linear_add_parts(const element* bias, const element* residual, element* out, float* parts, float scale, int rows, int columns, int activation, int splits) {
    add_parts({out, parts, bias, nullptr, residual, scale, rows, columns, 1, activation}, splits);
}

// dbias, first step: sums [runs, columns] over runs of rows. Grid: x = runs, y = 1; dynamic shared memory 16 KiB + 8 bytes a column.
extern "C" __global__ void __launch_bounds__(256) linear_column_sums(const element* gradient, float* sums, int rows, int columns, int rows_per_run) {
    DYNAMIC_SHARED(float, shared);
    if (columns % PACK == 0) column_sums_of_run<PACK>(gradient, sums, rows, columns, rows_per_run, shared);
    else column_sums_of_run<1>(gradient, sums, rows, columns, rows_per_run, shared);
}

// Second step: the runs in their order. Grid: x = columns / 256, y = 1.
extern "C" __global__ void __launch_bounds__(256) linear_add_runs(const float* sums, float* out, int columns, int runs) {
    add_runs(sums, out, columns, runs);
}

#if ELEMENT != 0 && __CUDA_ARCH__ >= 800
extern "C" __global__ void __launch_bounds__(256) linear_forward_128x128(const element* x, const element* weight, const element* bias, const element* residual, element* y, float* parts, float scale, int rows, int inputs, int outputs, int activation) {
    DYNAMIC_SHARED(element, shared);
    DenseAlong a = {x, rows, inputs, inputs}, b = {weight, outputs, inputs, inputs, activation == GEGLU ? outputs / 2 : 0};
    tensor_product<128, 128, 64>(a, b, inputs, {y, parts, bias, nullptr, residual, scale, rows, outputs, 1, activation}, shared);
}

extern "C" __global__ void __launch_bounds__(128) linear_forward_128x64(const element* x, const element* weight, const element* bias, const element* residual, element* y, float* parts, float scale, int rows, int inputs, int outputs, int activation) {
    DYNAMIC_SHARED(element, shared);
    DenseAlong a = {x, rows, inputs, inputs}, b = {weight, outputs, inputs, inputs, activation == GEGLU ? outputs / 2 : 0};
    tensor_product<128, 64, 64>(a, b, inputs, {y, parts, bias, nullptr, residual, scale, rows, outputs, 1, activation}, shared);
}

extern "C" __global__ void __launch_bounds__(128) linear_forward_64x64(const element* x, const element* weight, const element* bias, const element* residual, element* y, float* parts, float scale, int rows, int inputs, int outputs, int activation) {
    DYNAMIC_SHARED(element, shared);
    DenseAlong a = {x, rows, inputs, inputs}, b = {weight, outputs, inputs, inputs, activation == GEGLU ? outputs / 2 : 0};
    tensor_product<64, 64, 32>(a, b, inputs, {y, parts, bias, nullptr, residual, scale, rows, outputs, 1, activation}, shared);
}

extern "C" __global__ void __launch_bounds__(256) linear_to_x_128x128(const element* gradient, const element* weight, element* to_x, float* parts, float scale, int rows, int inputs, int outputs) {
    DYNAMIC_SHARED(element, shared);
    DenseAlong a = {gradient, rows, outputs, outputs};
    DenseAcross b = {weight, inputs, outputs, inputs};
    tensor_product<128, 128, 64>(a, b, outputs, {to_x, parts, nullptr, nullptr, nullptr, scale, rows, inputs, 1}, shared);
}

extern "C" __global__ void __launch_bounds__(128) linear_to_x_128x64(const element* gradient, const element* weight, element* to_x, float* parts, float scale, int rows, int inputs, int outputs) {
    DYNAMIC_SHARED(element, shared);
    DenseAlong a = {gradient, rows, outputs, outputs};
    DenseAcross b = {weight, inputs, outputs, inputs};
    tensor_product<128, 64, 64>(a, b, outputs, {to_x, parts, nullptr, nullptr, nullptr, scale, rows, inputs, 1}, shared);
}

extern "C" __global__ void __launch_bounds__(128) linear_to_x_64x64(const element* gradient, const element* weight, element* to_x, float* parts, float scale, int rows, int inputs, int outputs) {
    DYNAMIC_SHARED(element, shared);
    DenseAlong a = {gradient, rows, outputs, outputs};
    DenseAcross b = {weight, inputs, outputs, inputs};
    tensor_product<64, 64, 32>(a, b, outputs, {to_x, parts, nullptr, nullptr, nullptr, scale, rows, inputs, 1}, shared);
}

extern "C" __global__ void __launch_bounds__(256) linear_to_weight_128x128(const element* gradient, const element* x, element* to_weight, float* parts, float scale, int rows, int inputs, int outputs) {
    DYNAMIC_SHARED(element, shared);
    DenseAcross a = {gradient, outputs, rows, outputs}, b = {x, inputs, rows, inputs};
    tensor_product<128, 128, 64>(a, b, rows, {to_weight, parts, nullptr, nullptr, nullptr, scale, outputs, inputs, 1}, shared);
}

extern "C" __global__ void __launch_bounds__(128) linear_to_weight_128x64(const element* gradient, const element* x, element* to_weight, float* parts, float scale, int rows, int inputs, int outputs) {
    DYNAMIC_SHARED(element, shared);
    DenseAcross a = {gradient, outputs, rows, outputs}, b = {x, inputs, rows, inputs};
    tensor_product<128, 64, 64>(a, b, rows, {to_weight, parts, nullptr, nullptr, nullptr, scale, outputs, inputs, 1}, shared);
}

extern "C" __global__ void __launch_bounds__(128) linear_to_weight_64x64(const element* gradient, const element* x, element* to_weight, float* parts, float scale, int rows, int inputs, int outputs) {
    DYNAMIC_SHARED(element, shared);
    DenseAcross a = {gradient, outputs, rows, outputs}, b = {x, inputs, rows, inputs};
    tensor_product<64, 64, 32>(a, b, rows, {to_weight, parts, nullptr, nullptr, nullptr, scale, outputs, inputs, 1}, shared);
}
#endif
