// Atomics on integers. There are none on floats: sums of the engine run in a fixed order.
#pragma once

#define EMULATOR_ATOMICS(type)                                                                                                       \
    inline type atomicAdd(type* address, type value) { return __atomic_fetch_add(address, value, __ATOMIC_RELAXED); }                \
    inline type atomicExch(type* address, type value) { return __atomic_exchange_n(address, value, __ATOMIC_RELAXED); }              \
    inline type atomicOr(type* address, type value) { return __atomic_fetch_or(address, value, __ATOMIC_RELAXED); }                  \
    inline type atomicAnd(type* address, type value) { return __atomic_fetch_and(address, value, __ATOMIC_RELAXED); }                \
    inline type atomicCAS(type* address, type expected, type value) {                                                                \
        __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);                           \
        return expected;                                                                                                             \
    }                                                                                                                                \
    inline type atomicMax(type* address, type value) {                                                                               \
        type old = __atomic_load_n(address, __ATOMIC_RELAXED);                                                                       \
        while (old < value && !__atomic_compare_exchange_n(address, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {       \
        }                                                                                                                            \
        return old;                                                                                                                  \
    }                                                                                                                                \
    inline type atomicMin(type* address, type value) {                                                                               \
        type old = __atomic_load_n(address, __ATOMIC_RELAXED);                                                                       \
        while (value < old && !__atomic_compare_exchange_n(address, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {       \
        }                                                                                                                            \
        return old;                                                                                                                  \
    }
EMULATOR_ATOMICS(int)
EMULATOR_ATOMICS(unsigned)
EMULATOR_ATOMICS(unsigned long long)
#undef EMULATOR_ATOMICS

inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
inline T __ldg(const T* address) {
    return *address;
}
