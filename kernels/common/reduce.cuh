// Sums and maxima over a warp or a block. The order is fixed by the lane and warp numbers alone, so a result is the same in every run; every thread
// receives the same bits. No float atomics anywhere.
//
// The block's size must be a multiple of 32 and every thread must take part. Each block reduction has two barriers: one before it reads what the warps
// left, one after, so that calls may follow one another directly. It needs 32 values of static shared memory per value type.
#pragma once
#include "common/shared.cuh"

__device__ __forceinline__ float2 operator+(float2 a, float2 b) { return make_float2(a.x + b.x, a.y + b.y); }

// One register exchange; overload it for own value types, before this header.
__device__ __forceinline__ float exchange(float value, int distance) { return __shfl_xor_sync(ALL_LANES, value, distance); }

__device__ __forceinline__ float2 exchange(float2 value, int distance) {
    return make_float2(__shfl_xor_sync(ALL_LANES, value.x, distance), __shfl_xor_sync(ALL_LANES, value.y, distance));
}

struct Sum {
    template <class T>
    static __device__ __forceinline__ T combine(T a, T b) {
        return a + b;
    }
};

struct Maximum {
    static __device__ __forceinline__ float combine(float a, float b) { return fmaxf(a, b); }
};

// Reduces over groups of `width` neighbouring lanes (a power of two); all 32 lanes of the warp call it.
template <class Operation, int width = WARP, class T>
__device__ __forceinline__ T warp_reduce(T value) {
#pragma unroll
    for (int distance = width / 2; distance > 0; distance /= 2) {
        value = Operation::combine(value, exchange(value, distance));
    }
    return value;
}

template <class T>
__device__ __forceinline__ T warp_sum(T value) {
    return warp_reduce<Sum>(value);
}

__device__ __forceinline__ float warp_max(float value) { return warp_reduce<Maximum>(value); }

// Reduces over the block: first each warp, then the warps' results in the order of their numbers.
template <class Operation, class T>
__device__ __forceinline__ T block_reduce(T value) {
    __shared__ T of_warp[WARP];
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int warps = blockDim.x * blockDim.y * blockDim.z / WARP;
    value = warp_reduce<Operation>(value);
    if (thread % WARP == 0) {
        of_warp[thread / WARP] = value;
    }
    __syncthreads();
    value = of_warp[0];
    for (int warp = 1; warp < warps; ++warp) {
        value = Operation::combine(value, of_warp[warp]);
    }
    __syncthreads();
    return value;
}

template <class T>
__device__ __forceinline__ T block_sum(T value) {
    return block_reduce<Sum>(value);
}

__device__ __forceinline__ float block_max(float value) { return block_reduce<Maximum>(value); }
