// Launched by src/ops/product/cuda.rs.
// supports: sm_90a; f16, bf16
//
// The gradients with respect to the inputs of linear layers and of convolutions of stride 1 on Hopper: the products of product_hopper.cu, whose right factor
// lies across the depth,
//   y[image, cell, o] = scale · sum over taps (i, j) and channels c of x[image, cell - (top, left) + (i, j), c] · W[c, last tap - (i, j), o]
// with x the gradient of the layer's result, c its channels, W the layer's weight as it lies in memory and o the layer's inputs. Of a convolution whose
// windows begin (top', left') before a cell, top is height of the window - 1 - top', left likewise.
//
// Shapes, parameters and grid: as there, but weight as boxes of [outputs, taps, channels] of 64, 1 and 64. bias, per_group, residual are null, x is one
// tensor, doubled 0, activation none.
// Reads, writes: as there; of the tile of 160 columns 192 of W.
// Shared memory: 4 stages of 48 KiB at 128 x 256, 4 of 40 KiB at 160, 6 of 32 KiB at 128, 8 of 24 KiB at 64; the rest as there. Registers: as there.
// Floor: as there.
#include "common/hopper_product.cuh"

extern "C" __global__ void __launch_bounds__(384, 1) product_across_128x256(const __grid_constant__ Product product) { hopper_product<256, 1, true>(product); }
extern "C" __global__ void __launch_bounds__(384, 1) product_across_128x160(const __grid_constant__ Product product) { hopper_product<160, 1, true>(product); }
extern "C" __global__ void __launch_bounds__(384, 1) product_across_128x128(const __grid_constant__ Product product) { hopper_product<128, 1, true>(product); }
extern "C" __global__ void __launch_bounds__(384, 1) product_across_128x64(const __grid_constant__ Product product) { hopper_product<64, 1, true>(product); }
