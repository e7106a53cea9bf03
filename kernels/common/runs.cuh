// Runs of neighbouring elements as floats: a 16-byte access, or one element where rows are not whole packs.
#pragma once
#include "common/scalar.cuh"

constexpr int PACK = PER_16_BYTES<element>;

// N elements at once; N is PACK, with `place` on a 16-byte boundary, or 1.
template <int N>
__device__ __forceinline__ void load_run(float (&values)[N], const element* place) {
    Pack<element, N> run = *reinterpret_cast<const Pack<element, N>*>(place);
#pragma unroll
    for (int i = 0; i < N; i++) values[i] = load(run.at[i]);
}

template <int N>
__device__ __forceinline__ void store_run(element* place, const float (&values)[N]) {
    Pack<element, N> run;
#pragma unroll
    for (int i = 0; i < N; i++) run.at[i] = store<element>(values[i]);
    *reinterpret_cast<Pack<element, N>*>(place) = run;
}
