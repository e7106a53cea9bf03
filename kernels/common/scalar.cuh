// Element types. A kernel reads and writes `element` (chosen by -DELEMENT=0|1|2: f32, f16, bf16; f32 if absent) and computes in float:
//
//     float x = load(input[i]);   output[i] = store<element>(y);
//
// Conversions are our own, so that NVRTC needs no header beside it: one PTX instruction on the device, bit operations elsewhere (bf16 before sm_80,
// the emulator). Rounding is to nearest, ties to even; a NaN becomes 0x7fff, as PTX says (ISA 9.7.9.21, cvt).
#pragma once

// IEEE half precision: 1 sign, 5 exponent, 10 fraction bits.
struct f16 {
    unsigned short bits;
};

// Brain float: the upper half of a float.
struct bf16 {
    unsigned short bits;
};

#ifndef ELEMENT
#define ELEMENT 0
#endif
#if ELEMENT == 0
typedef float element;
#elif ELEMENT == 1
typedef f16 element;
#elif ELEMENT == 2
typedef bf16 element;
#else
#error "ELEMENT: expected 0 (f32), 1 (f16) or 2 (bf16)"
#endif

// `count` elements that move as one: one aligned load or store of up to 16 bytes.
template <class T, int count>
struct __align__(sizeof(T) * count) Pack {
    T at[count];
};

// The elements that fill 16 bytes: 4 of f32, 8 of f16 and bf16.
template <class T>
constexpr int PER_16_BYTES = 16 / sizeof(T);

__device__ __forceinline__ float load(float value) { return value; }

__device__ __forceinline__ float load(bf16 value) { return __uint_as_float(static_cast<unsigned>(value.bits) << 16); }

__device__ __forceinline__ float load(f16 value) {
#ifndef CUDA_EMULATOR
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
    return wide;
#else
    unsigned sign = (value.bits & 0x8000u) << 16, magnitude = value.bits & 0x7fffu;
    if (magnitude >= 0x7c00u) {
        return __uint_as_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);  // infinity, NaN
    }
    // Moves the bits into a float's place and corrects the exponent by a product, which is exact and turns subnormals into normals.
    float scaled = __uint_as_float(magnitude << 13) * 0x1p112f;
    return __uint_as_float(sign | __float_as_uint(scaled));
#endif
}

// `store<T>(x)`: x rounded to T.
template <class T>
__device__ __forceinline__ T store(float value);

template <>
__device__ __forceinline__ float store<float>(float value) {
    return value;
}

template <>
__device__ __forceinline__ f16 store<f16>(float value) {
    f16 narrow;
#ifndef CUDA_EMULATOR
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(value));
#else
    unsigned bits = __float_as_uint(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        narrow.bits = 0x7fff;
    } else if (magnitude >= 0x477ff000u) {  // from 65520 on: infinity
        narrow.bits = static_cast<unsigned short>(sign | 0x7c00u);
    } else if (magnitude >= 0x38800000u) {  // from 2^-14 on: normal
        unsigned rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
        narrow.bits = static_cast<unsigned short>(sign | (rounded - 0x38000000u) >> 13);
    } else {  // subnormal: adding 0.5 leaves multiples of 2^-24 in the low bits, rounded by the addition itself
        float aligned = __uint_as_float(magnitude) + 0.5f;
        narrow.bits = static_cast<unsigned short>(sign | (__float_as_uint(aligned) - 0x3f000000u));
    }
#endif
    return narrow;
}

template <>
__device__ __forceinline__ bf16 store<bf16>(float value) {
    bf16 narrow;
#if !defined(CUDA_EMULATOR) && __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(value));
#else
    unsigned bits = __float_as_uint(value);
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    narrow.bits = is_nan ? 0x7fff : static_cast<unsigned short>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
#endif
    return narrow;
}

// Two elements of 16 bits in one register, `low` at the lower address: the form of a tensor-core fragment.
template <class T>
__device__ __forceinline__ unsigned pack(T low, T high) {
    return static_cast<unsigned>(low.bits) | static_cast<unsigned>(high.bits) << 16;
}

template <class T>
__device__ __forceinline__ unsigned pack(float low, float high) {
    return pack(store<T>(low), store<T>(high));
}

template <class T>
__device__ __forceinline__ T low_half(unsigned pair) {
    return T{static_cast<unsigned short>(pair)};
}

template <class T>
__device__ __forceinline__ T high_half(unsigned pair) {
    return T{static_cast<unsigned short>(pair >> 16)};
}
