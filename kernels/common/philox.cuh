// Counter-based random numbers, bit for bit those of src/tensor/random.rs: Philox4x32-10 (Salmon et al., SC 2011) and Box-Muller from correctly
// rounded f32 operations in the same order. The `_rn` functions keep the compiler from fusing a product and a sum that Rust does not fuse.
// A stream is named by two key words and two nonce words (`Stream::new`); its block b holds elements 4b .. 4b+3.
#pragma once

__device__ __forceinline__ uint4 philox(uint4 counter, uint2 key) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned high0 = __umulhi(0xD2511F53u, counter.x), low0 = 0xD2511F53u * counter.x;
        unsigned high1 = __umulhi(0xCD9E8D57u, counter.z), low1 = 0xCD9E8D57u * counter.z;
        counter = make_uint4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key = make_uint2(key.x + 0x9E3779B9u, key.y + 0xBB67AE85u);
    }
    return counter;
}

// Words 4 * block .. 4 * block + 4 of a stream.
__device__ __forceinline__ uint4 random_block(uint2 key, uint2 nonce, unsigned long long block) {
    return philox(make_uint4(static_cast<unsigned>(block), static_cast<unsigned>(block >> 32), nonce.x, nonce.y), key);
}

// Uniform in [0, 1): 24 bits of a word.
__device__ __forceinline__ float uniform(unsigned word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

// ln(x) for normal positive x, after Cephes `logf`; see `natural_logarithm` in src/tensor/random.rs.
__device__ __forceinline__ float natural_logarithm(float x) {
    unsigned bits = __float_as_uint(x);
    int power = static_cast<int>(bits >> 23) - 126;
    float mantissa = __uint_as_float((bits & 0x007FFFFFu) | 0x3F000000u);
    if (mantissa < 0.707106781186547524f) {
        power -= 1;
        mantissa = __fadd_rn(mantissa, mantissa);
    }
    float f = __fadd_rn(mantissa, -1.0f);
    float square = __fmul_rn(f, f);
    float polynomial = 7.0376836e-2f;
    polynomial = __fmaf_rn(polynomial, f, -1.151461e-1f);
    polynomial = __fmaf_rn(polynomial, f, 1.1676999e-1f);
    polynomial = __fmaf_rn(polynomial, f, -1.2420141e-1f);
    polynomial = __fmaf_rn(polynomial, f, 1.4249323e-1f);
    polynomial = __fmaf_rn(polynomial, f, -1.6668058e-1f);
    polynomial = __fmaf_rn(polynomial, f, 2.0000715e-1f);
    polynomial = __fmaf_rn(polynomial, f, -2.4999994e-1f);
    polynomial = __fmaf_rn(polynomial, f, 3.333333e-1f);
    float exponent = static_cast<float>(power);
    float tail = __fmul_rn(__fmul_rn(polynomial, f), square);
    tail = __fmaf_rn(exponent, -2.1219444e-4f, tail);
    tail = __fmaf_rn(square, -0.5f, tail);
    return __fmaf_rn(exponent, 0.693359375f, __fadd_rn(f, tail));
}

// (sin 2πu, cos 2πu) for u in [0, 1); see `sine_cosine_of_turns` in src/tensor/random.rs.
__device__ __forceinline__ float2 sine_cosine_of_turns(float turns) {
    int quadrant = static_cast<int>(__fadd_rn(__fmul_rn(turns, 4.0f), 0.5f));
    float x = __fmul_rn(__fadd_rn(turns, -__fmul_rn(static_cast<float>(quadrant), 0.25f)), 6.28318530717958648f);
    float square = __fmul_rn(x, x);
    float sine = -1.9515296e-4f;
    sine = __fmaf_rn(sine, square, 8.332161e-3f);
    sine = __fmaf_rn(sine, square, -1.6666655e-1f);
    sine = __fmaf_rn(__fmul_rn(sine, square), x, x);
    float cosine = 2.4433157e-5f;
    cosine = __fmaf_rn(cosine, square, -1.3887316e-3f);
    cosine = __fmaf_rn(cosine, square, 4.1666646e-2f);
    cosine = __fmaf_rn(__fmul_rn(cosine, square), square, __fmaf_rn(square, -0.5f, 1.0f));
    switch (quadrant & 3) {
        case 0: return make_float2(sine, cosine);
        case 1: return make_float2(cosine, -sine);
        case 2: return make_float2(-sine, -cosine);
        default: return make_float2(-cosine, sine);
    }
}

// Two standard normal numbers from two words (Box-Muller).
__device__ __forceinline__ float2 normal_pair(unsigned first, unsigned second) {
    float positive = __fmul_rn(static_cast<float>((first >> 8) + 1u), 0x1p-24f);
    float radius = __fsqrt_rn(__fmul_rn(-2.0f, natural_logarithm(positive)));
    float2 circle = sine_cosine_of_turns(__fmul_rn(static_cast<float>(second >> 8), 0x1p-24f));
    return make_float2(__fmul_rn(radius, circle.y), __fmul_rn(radius, circle.x));
}

// Elements 4 * block .. 4 * block + 4 of the stream's standard normal numbers (`Stream::fill_normal`).
__device__ __forceinline__ float4 normal_block(uint2 key, uint2 nonce, unsigned long long block) {
    uint4 words = random_block(key, nonce, block);
    float2 front = normal_pair(words.x, words.y), back = normal_pair(words.z, words.w);
    return make_float4(front.x, front.y, back.x, back.y);
}
