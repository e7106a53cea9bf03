// Launched by src/ops/product/cuda.rs.
// supports: sm_90a; f16, bf16
//
// The forward products of linear layers and of convolutions of stride 1 on Hopper, by wgmma on boxes that the copy engine (TMA) brings:
//   y[image, cell, o] = scale · sum over taps (i, j) and channels c of x[image, cell - (top, left) + (i, j), c] · W[o, i, j, c] + bias[o]
//                       + per_group[image, o] + residual[image, cell, o], with an activation before the residual (destination.cuh)
// or, gated, a · gelu(b) for the halves a, b of the outputs: half of a tile's columns are values, the others their gates.
// A linear layer is an image of one row, whose width are its rows, with one tap. What the images lack around them is zero: the boxes of the copy engine
// are filled so, also beyond the last channel, and windows are never unfolded in memory.
// The channels may lie in two tensors, x and second, whose boxes then follow each other. `doubled` 1: windows meet each pixel twice along both axes. Cells of
// one parity then meet, at one tap, pixels that are one apart, so that a tile is made of such cells alone and its boxes are those of the image as it lies.
//
// Shapes: x as boxes of [first channels, image width, image height, images] (innermost first) of 64 channels and `box_…` cells, second likewise with the
// remaining channels (any boxes where there are none), weight as boxes of [channels,
// taps, outputs] of 64, 1 and the tile's columns, half of them if gated; bias [outputs]; per_group [rows / group_rows, outputs]; residual, y [images, height, width, outputs];
// bias, per_group, residual null where absent. parts f32 [splits, the shape of y] or null: then bare sums of a part of the depth, which the op's
// `…_add_parts` adds in order. channels, first channels and outputs are multiples of 8; with `doubled`
// height and width are twice the image's; the box's cells are 128; no part of the depth is empty.
// The tile is in the name, rows x columns, and is chosen by shape. M, N, K: images · height · width, outputs, taps · channels.
// Grid: x = multiprocessors, or tiles · parts if fewer; 384 threads: one warpgroup that copies, two that hold 64 rows of sums each. The same by clusters
// of two blocks, which read W together: product_multicast.cu.
// Reads: x once a tile of columns and tap (from the second-level cache but for the first tap and the tiles of one band), weight once a band of 8 tiles of
// rows; bias, per_group and residual once; writes y once, in whole packs of 16 bytes.
// Shared memory: 4 stages of 48 KiB at 128 x 256, 5 of 36 KiB at 160, 6 of 32 KiB at 128, 8 of 24 KiB at 64; 1 KiB of barriers; 20 KiB of sums on their
// way out: at most 213 KiB. Registers: 168 a thread at the start, then 40 for those that copy and 232 for those that multiply, of which the sums take
// half the tile's columns: 128 at 256.
// Floor: 2 · M · N · K FLOP at the tensor cores' rate, or the bytes of x, W and y over the memory's bandwidth.
#include "common/hopper_product.cuh"

extern "C" __global__ void __launch_bounds__(384, 1) product_128x256(const __grid_constant__ Product product) { hopper_product<256, 1, false>(product); }
extern "C" __global__ void __launch_bounds__(384, 1) product_128x160(const __grid_constant__ Product product) { hopper_product<160, 1, false>(product); }
extern "C" __global__ void __launch_bounds__(384, 1) product_128x128(const __grid_constant__ Product product) { hopper_product<128, 1, false>(product); }
extern "C" __global__ void __launch_bounds__(384, 1) product_128x64(const __grid_constant__ Product product) { hopper_product<64, 1, false>(product); }
