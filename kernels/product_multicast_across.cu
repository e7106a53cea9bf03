// Launched by src/ops/product/cuda.rs.
// supports: sm_90a; f16, bf16
//
// The products of product_hopper_across.cu by the clusters of product_multicast.cu: each of a cluster's two blocks brings 32 of the 64 rows of every box of
// the weight for both, so that the second-level cache gives it once. Sums are added in the same order as there.
//
// Shapes: as there, but weight as boxes of [outputs, taps, channels] of 64, 1 and 32. Parameters, shared memory and registers: as there. Grid: as in
// product_multicast.cu.
// Reads: x as there; weight half as often. Writes: as there.
// Floor: as there.
#include "common/hopper_product.cuh"

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) product_multicast_across_128x256(const __grid_constant__ Product product) { hopper_product<256, 2, true>(product); }
extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) product_multicast_across_128x160(const __grid_constant__ Product product) { hopper_product<160, 2, true>(product); }
extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) product_multicast_across_128x128(const __grid_constant__ Product product) { hopper_product<128, 2, true>(product); }
extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) product_multicast_across_128x64(const __grid_constant__ Product product) { hopper_product<64, 2, true>(product); }
