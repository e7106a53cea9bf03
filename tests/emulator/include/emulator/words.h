// CUDA's words. For kernels only: the standard library's headers use some of them themselves.
#pragma once

#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __grid_constant__
#define __restrict__ __restrict
#define __constant__ static
// `__global__` and `__launch_bounds__` are read and removed by the emulated NVRTC (../compiler), which lists a source's entry points.
