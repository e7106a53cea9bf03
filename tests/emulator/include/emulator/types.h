// CUDA's vector types, for kernels and for the engine.
#pragma once

typedef decltype(sizeof(0)) size_t;

// NAME1 to NAME4 of one scalar type, with CUDA's alignments.
#define EMULATOR_VECTORS(scalar, name)                                                   \
    struct name##1 { scalar x; };                                                        \
    struct __attribute__((aligned(2 * sizeof(scalar)))) name##2 { scalar x, y; };        \
    struct name##3 { scalar x, y, z; };                                                  \
    struct __attribute__((aligned(4 * sizeof(scalar)))) name##4 { scalar x, y, z, w; };  \
    inline name##1 make_##name##1(scalar x) { return {x}; }                              \
    inline name##2 make_##name##2(scalar x, scalar y) { return {x, y}; }                 \
    inline name##3 make_##name##3(scalar x, scalar y, scalar z) { return {x, y, z}; }    \
    inline name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }
EMULATOR_VECTORS(float, float)
EMULATOR_VECTORS(int, int)
EMULATOR_VECTORS(unsigned, uint)
EMULATOR_VECTORS(short, short)
EMULATOR_VECTORS(unsigned short, ushort)
EMULATOR_VECTORS(signed char, char)
EMULATOR_VECTORS(unsigned char, uchar)
#undef EMULATOR_VECTORS
struct __attribute__((aligned(16))) double2 { double x, y; };
struct __attribute__((aligned(16))) longlong2 { long long x, y; };
struct __attribute__((aligned(16))) ulonglong2 { unsigned long long x, y; };

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
