// Functions of elements that lie one after the other: a thread takes four neighbours, 16 bytes in f32 and 8 in f16 and bf16, so that memory is read
// and written in whole transactions. Tensors start at multiples of 256 bytes.
#pragma once
#include "common/scalar.cuh"

// Elements of a thread, threads of a block; src/ops/elementwise/cuda.rs and src/tensor/cuda.rs count blocks by them.
constexpr int FLAT_RUN = 4;
constexpr int FLAT_THREADS = 256;

// The first element of this thread.
__device__ __forceinline__ size_t flat_first() { return ((size_t)blockIdx.x * FLAT_THREADS + threadIdx.x) * FLAT_RUN; }

// y[i] = f(x[i])
template <class From, class To, class F>
__device__ __forceinline__ void map_flat(const From* x, To* y, size_t count, F f) {
    size_t first = flat_first();
    if (first + FLAT_RUN <= count) {
        Pack<From, FLAT_RUN> in = *reinterpret_cast<const Pack<From, FLAT_RUN>*>(x + first);
        Pack<To, FLAT_RUN> out;
#pragma unroll
        for (int i = 0; i < FLAT_RUN; i++) out.at[i] = store<To>(f(load(in.at[i])));
        *reinterpret_cast<Pack<To, FLAT_RUN>*>(y + first) = out;
    } else {
        for (size_t i = first; i < count; i++) y[i] = store<To>(f(load(x[i])));
    }
}

// y[i] = f(a[i], b[i])
template <class T, class F>
__device__ __forceinline__ void map_flat(const T* a, const T* b, T* y, size_t count, F f) {
    size_t first = flat_first();
    if (first + FLAT_RUN <= count) {
        Pack<T, FLAT_RUN> left = *reinterpret_cast<const Pack<T, FLAT_RUN>*>(a + first), right = *reinterpret_cast<const Pack<T, FLAT_RUN>*>(b + first);
        Pack<T, FLAT_RUN> out;
#pragma unroll
        for (int i = 0; i < FLAT_RUN; i++) out.at[i] = store<T>(f(load(left.at[i]), load(right.at[i])));
        *reinterpret_cast<Pack<T, FLAT_RUN>*>(y + first) = out;
    } else {
        for (size_t i = first; i < count; i++) y[i] = store<T>(f(load(a[i]), load(b[i])));
    }
}
