// Launched by src/ops/product/cuda.rs.
// supports: sm_90a; f16, bf16
//
// The products of product_hopper.cu, with its tiles, shapes and parameters, by clusters of two blocks. The two have neighbouring tiles of rows and the same
// columns, and each brings one half of the weight's box for both (multicast): from the second-level cache a block reads 32 KiB a step in place of 48 at
// 128 x 256, 26 of 36 at 160, 24 of 32 at 128, 20 of 24 at 64. Sums are added in the same order, so that results are the same to the bit.
//
// Shapes: as there, but weight as boxes of [channels, taps, outputs] of 64, 1 and half of the tile's columns, gated or not.
// Grid: x = whole clusters, as many as the multiprocessors hold, or tiles · parts if fewer, of which each cluster takes two neighbours along the rows (of
// an odd number one lies behind the last image: it is multiplied and written nowhere); 384 threads.
// Reads: x as there; weight half as often. Writes, shared memory and registers: as there.
// Floor: as there.
#include "common/hopper_product.cuh"

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) product_multicast_128x256(const __grid_constant__ Product product) { hopper_product<256, 2, false>(product); }
extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) product_multicast_128x160(const __grid_constant__ Product product) { hopper_product<160, 2, false>(product); }
extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) product_multicast_128x128(const __grid_constant__ Product product) { hopper_product<128, 2, false>(product); }
extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) product_multicast_128x64(const __grid_constant__ Product product) { hopper_product<64, 2, false>(product); }
