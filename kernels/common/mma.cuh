// Tensor cores and asynchronous copies of sm_80 and later, behind small functions: the only inline PTX of the portable path stands here. Each
// function has a host meaning in tests/emulator/include/emulator/{async_copy,matrix}.h, called where the PTX stands.
#pragma once
#include "common/scalar.cuh"
#include "common/shared.cuh"

// The address in the shared window that PTX instructions and descriptors take.
__device__ __forceinline__ unsigned shared_address(const void* pointer) {
#ifdef CUDA_EMULATOR
    return emulator::shared_address(pointer);
#else
    return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
#endif
}

// ---- Asynchronous copies, global to shared (PTX ISA 9.7.9.25.3, cp.async) ----

#if __CUDA_ARCH__ >= 800
// Starts a copy of `bytes` (4, 8 or 16; both addresses aligned to them) for this thread; the last `bytes - valid` become zero and are not read.
// The data may be used after `copy_async_wait` and, by other threads, a barrier after that. 16 bytes bypass L1.
template <int bytes>
__device__ __forceinline__ void copy_async(void* shared, const void* global, int valid = bytes) {
    static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async moves 4, 8 or 16 bytes");
#ifdef CUDA_EMULATOR
    emulator::copy_async(shared, global, bytes, valid);
#else
    if constexpr (bytes == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(valid) : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global), "n"(bytes), "r"(valid)
                     : "memory");
    }
#endif
}

// Closes the group of copies that this thread started since the last call (it may be empty).
__device__ __forceinline__ void copy_async_commit() {
#ifdef CUDA_EMULATOR
    emulator::copy_async_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most the `pending` latest groups of this thread are still on their way.
template <int pending>
__device__ __forceinline__ void copy_async_wait() {
#ifdef CUDA_EMULATOR
    emulator::copy_async_wait(pending);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}
#endif

// ---- Fragments (PTX ISA 9.7.14.5.15, ldmatrix; sm_75 and later) ----

// Loads four 8x8 matrices of 16-bit elements. Lane l gives the address of row l % 8 of matrix l / 8 (16 bytes, aligned). Afterwards lane l holds in
// `fragment[i]` elements 2 * (l % 4) and 2 * (l % 4) + 1 of row l / 4 of matrix i; `transposed`: of column l / 4, rows 2 * (l % 4) and the next.
template <bool transposed = false>
__device__ __forceinline__ void load_matrices(unsigned (&fragment)[4], const void* row) {
#ifdef CUDA_EMULATOR
    emulator::load_matrices(fragment, 4, row, transposed);
#else
    if constexpr (transposed) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                     : "r"(shared_address(row))
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                     : "r"(shared_address(row))
                     : "memory");
    }
#endif
}

// Two matrices; lanes 0 to 15 give the rows, the other lanes' addresses are ignored but must be valid.
template <bool transposed = false>
__device__ __forceinline__ void load_matrices(unsigned (&fragment)[2], const void* row) {
#ifdef CUDA_EMULATOR
    emulator::load_matrices(fragment, 2, row, transposed);
#else
    if constexpr (transposed) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                     : "=r"(fragment[0]), "=r"(fragment[1])
                     : "r"(shared_address(row))
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                     : "=r"(fragment[0]), "=r"(fragment[1])
                     : "r"(shared_address(row))
                     : "memory");
    }
#endif
}

// ---- Products (PTX ISA 9.7.14.5.8, mma.m16n8k16; sm_80 and later) ----

#if __CUDA_ARCH__ >= 800
// sum[16x8] += a[16x16] * b[16x8] with 16-bit factors of type T and f32 sums. With r = lane / 4 and c = 2 * (lane % 4), a lane holds
//     a[0]: A(r, c..c+1)      a[1]: A(r+8, c..c+1)      a[2]: A(r, c+8..c+9)      a[3]: A(r+8, c+8..c+9)
//     b[0]: B(c..c+1, r)      b[1]: B(c+8..c+9, r)      (so `load_matrices` of B stored as [n][k] gives b without transposing)
//     sum[0], sum[1]: S(r, c), S(r, c+1)                sum[2], sum[3]: S(r+8, c), S(r+8, c+1)
template <class T>
__device__ __forceinline__ void mma_m16n8k16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);

#ifdef CUDA_EMULATOR
template <>
inline void mma_m16n8k16<f16>(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    emulator::mma_m16n8k16(sum, a, b0, b1, emulator::Factor::f16);
}

template <>
inline void mma_m16n8k16<bf16>(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    emulator::mma_m16n8k16(sum, a, b0, b1, emulator::Factor::bf16);
}
#else
template <>
__device__ __forceinline__ void mma_m16n8k16<f16>(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <>
__device__ __forceinline__ void mma_m16n8k16<bf16>(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif
#endif
