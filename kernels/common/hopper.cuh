// Hopper's asynchronous machinery (sm_90a) behind small functions: barriers in shared memory that count arrivals and bytes (mbarrier), copies of boxes
// of a tensor by the tensor memory accelerator (TMA), products of a warpgroup from shared memory (wgmma), and the passing of registers between
// warpgroups (setmaxnreg). All their inline PTX stands here. Each function has a host meaning in tests/emulator/include/emulator/hopper.h, called
// where the PTX stands. Layouts are those of the PTX ISA 9.0, whose sections are named beside each; none was seen on hardware so far.
#pragma once
#include "common/mma.cuh"

// Threads that multiply together: four neighbouring warps, the first of which has a number divisible by four.
constexpr int WARPGROUP = 128;

// ---- Barriers (PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier") ----

// Eight bytes of shared memory. A phase ends when all arrivals of it have come and as many bytes have landed as were announced; then the next begins.
struct Barrier {
    unsigned long long state;
};

// A barrier whose phases take so many arrivals. Before others use it: `publish_barriers`, then __syncthreads().
__device__ __forceinline__ void barrier_init(Barrier* barrier, unsigned arrivals) {
#ifdef CUDA_EMULATOR
    emulator::barrier_init(&barrier->state, arrivals);
#else
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
#endif
}

// Lets the copy engine, which sees memory through a proxy of its own, find the barriers that this thread has made ("membar / fence").
__device__ __forceinline__ void publish_barriers() {
#ifdef CUDA_EMULATOR
    emulator::publish_barriers();
#else
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// One arrival; what this thread did before comes before what others do after they waited for the phase.
__device__ __forceinline__ void barrier_arrive(Barrier* barrier) {
#ifdef CUDA_EMULATOR
    emulator::barrier_arrive(&barrier->state, 0);
#else
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#endif
}

// One arrival, and `bytes` bytes that will land in this phase.
__device__ __forceinline__ void barrier_arrive_expecting(Barrier* barrier, unsigned bytes) {
#ifdef CUDA_EMULATOR
    emulator::barrier_arrive(&barrier->state, bytes);
#else
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
#endif
}

// Whether the phase of this parity is over: phases count from 0, and of a new barrier the phase before them, of parity 1, is. May sleep for a while.
__device__ __forceinline__ bool barrier_try_wait(Barrier* barrier, unsigned parity) {
#ifdef CUDA_EMULATOR
    return emulator::barrier_try_wait(&barrier->state, parity);
#else
    unsigned over;
    asm volatile("{\n.reg .pred over;\nmbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\nselp.u32 %0, 1, 0, over;\n}"
                 : "=r"(over)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
    return over;
#endif
}

__device__ __forceinline__ void barrier_wait(Barrier* barrier, unsigned parity) {
    while (!barrier_try_wait(barrier, parity)) {
    }
}

// ---- Copies of boxes (PTX ISA, "cp.async.bulk.tensor" and "Tensors") ----

// What cuTensorMapEncodeTiled says of a tensor and of the boxes that are copied out of it. A parameter of a kernel, which never leaves the place where
// the launch put it: `const __grid_constant__ TensorMap x`. The boxes here are of 64 elements of 16 bits innermost, with the 128-byte swizzle.
struct __align__(64) TensorMap {
    unsigned long long opaque[16];
};

// Starts copying the box whose first element is at these coordinates, innermost first, to `shared` (1024-byte aligned; one thread). Elements outside the
// tensor, also at negative coordinates, become zero. `full` receives the bytes of the whole box.
// How it lies in shared memory ("Swizzling Modes", 128 bytes): the box's rows of 64 elements one after the other, 128 bytes each; the 16-byte
// chunk c of row r lies where chunk c ^ (r % 8) would.
__device__ __forceinline__ void copy_box(void* shared, const TensorMap& map, Barrier* full, int x0, int x1, int x2) {
#ifdef CUDA_EMULATOR
    int at[] = {x0, x1, x2};
    emulator::copy_box(shared, &map, &full->state, 3, at);
#else
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(
                     shared_address(shared)),
                 "l"(&map), "r"(shared_address(full)), "r"(x0), "r"(x1), "r"(x2)
                 : "memory");
#endif
}

__device__ __forceinline__ void copy_box(void* shared, const TensorMap& map, Barrier* full, int x0, int x1, int x2, int x3) {
#ifdef CUDA_EMULATOR
    int at[] = {x0, x1, x2, x3};
    emulator::copy_box(shared, &map, &full->state, 4, at);
#else
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(
                     shared_address(shared)),
                 "l"(&map), "r"(shared_address(full)), "r"(x0), "r"(x1), "r"(x2), "r"(x3)
                 : "memory");
#endif
}

// Brings a map near before its first use ("prefetch").
__device__ __forceinline__ void prefetch(const TensorMap& map) {
#ifdef CUDA_EMULATOR
    emulator::prefetch(&map);
#else
    asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
#endif
}

// ---- Registers (PTX ISA, "Miscellaneous Instructions: setmaxnreg") ----

// This warpgroup goes on with so many registers a thread, more or fewer than before; the block's sum must fit what it was started with.
template <int count>
__device__ __forceinline__ void take_registers() {
    static_assert(count % 8 == 0 && count >= 24 && count <= 256, "setmaxnreg takes multiples of 8 from 24 to 256");
#ifdef CUDA_EMULATOR
    emulator::change_registers(count, true);
#else
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
#endif
}

template <int count>
__device__ __forceinline__ void give_registers() {
    static_assert(count % 8 == 0 && count >= 24 && count <= 256, "setmaxnreg takes multiples of 8 from 24 to 256");
#ifdef CUDA_EMULATOR
    emulator::change_registers(count, false);
#else
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
#endif
}

// ---- Products of a warpgroup (PTX ISA 9.7.15, "Asynchronous Warpgroup Level Matrix Instructions") ----

// Describes a factor in shared memory as `copy_box` leaves it, its rows along the depth: the 64-bit descriptor of 9.7.15.5.1.2 ("Matrix Descriptor
// Format"). From bit 0: the address / 16; from bit 16: the leading dimension's offset, unused with a swizzle along the depth; from bit 32: the bytes from
// 8 rows to the next 8, / 16; from bit 49: 0, since the pattern starts at a multiple of 1024 bytes; from bit 62: 1, the 128-byte swizzle.
// 16 elements further along the depth are 32 bytes: the descriptor + FURTHER_ALONG.
constexpr int FURTHER_ALONG = 32 / 16;
__device__ __forceinline__ unsigned long long describe_factor(const void* shared) {
    constexpr unsigned long long EIGHT_ROWS = 1024, SWIZZLE_128 = 1;
    return (shared_address(shared) & 0x3ffffull) >> 4 | 1ull << 16 | EIGHT_ROWS >> 4 << 32 | SWIZZLE_128 << 62;
}

// The same of a second factor as boxes of 64 columns by 64 of the depth leave it, one behind the other, each row of a box at one place of the depth ("MN-major").
// From bit 16: the bytes from 64 columns to the next, / 16; from bit 32: those from 8 of the depth to the next 8, / 16. 16 further along the depth are 16
// rows of 128 bytes: the descriptor + FURTHER_ACROSS.
constexpr int FURTHER_ACROSS = 16 * 128 / 16;
__device__ __forceinline__ unsigned long long describe_factor_across(const void* shared) {
    constexpr unsigned long long BOX = 64 * 128, EIGHT_ROWS = 1024, SWIZZLE_128 = 1;
    return (shared_address(shared) & 0x3ffffull) >> 4 | BOX >> 4 << 16 | EIGHT_ROWS >> 4 << 32 | SWIZZLE_128 << 62;
}

// Before the first product, and before a product after this thread used its sums: orders registers and shared memory ("wgmma.fence").
__device__ __forceinline__ void products_fence() {
#ifdef CUDA_EMULATOR
    emulator::products_fence();
#else
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

// Closes the group of products that were started since the last call ("wgmma.commit_group").
__device__ __forceinline__ void products_commit() {
#ifdef CUDA_EMULATOR
    emulator::products_commit();
#else
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

// Waits until at most the `pending` latest groups are on their way: the others have read their factors, and with none pending the sums are there
// ("wgmma.wait_group").
template <int pending>
__device__ __forceinline__ void products_wait() {
#ifdef CUDA_EMULATOR
    emulator::products_wait(pending);
#else
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
#endif
}

// Tells the compiler that the sums may have changed, so that it neither reads nor moves them while products are on their way.
template <int COLUMNS>
__device__ __forceinline__ void hold_sums(float (&sums)[COLUMNS / 8][4]) {
#ifndef CUDA_EMULATOR
#pragma unroll
    for (int i = 0; i < COLUMNS / 8; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) asm volatile("" : "+f"(sums[i][j])::"memory");
#endif
}

// Starts sums[64 x COLUMNS] = a[64 x 16] * b[COLUMNS x 16] transposed, added to the sums if `add`; factors of type T, f32 sums ("wgmma.mma_async"). b lies
// along the depth (`describe_factor`) or across it (`describe_factor_across`). With
// r = lane / 4, c = 2 * (lane % 4) and w the warp's place in its group, a thread holds (9.7.15.5.1.1, "Register Fragments", D)
//     sums[j][0], sums[j][1]: S(16 w + r, 8 j + c), S(16 w + r, 8 j + c + 1)        sums[j][2], sums[j][3]: the same of row 16 w + r + 8
// The whole warpgroup calls it with the same descriptors.
template <class T, int COLUMNS, bool ACROSS>
__device__ __forceinline__ void multiply(float (&sums)[COLUMNS / 8][4], unsigned long long a, unsigned long long b, bool add);

#ifdef CUDA_EMULATOR
#define WGMMA(type, columns, across)                                                                                                \
    template <>                                                                                                                     \
    inline void multiply<type, columns, across>(float (&sums)[columns / 8][4], unsigned long long a, unsigned long long b, bool add) {\
        emulator::multiply(&sums[0][0], columns, a, b, add, emulator::Factor::type, across);                                        \
    }
#else
// The sums as operands, four of each fragment of eight columns.
#define SUMS(j) "+f"(sums[j][0]), "+f"(sums[j][1]), "+f"(sums[j][2]), "+f"(sums[j][3])
#define SUMS_4(j) SUMS(j), SUMS(j + 1), SUMS(j + 2), SUMS(j + 3)
#define SUMS_8(j) SUMS_4(j), SUMS_4(j + 4)
#define SUMS_64 SUMS_8(0)
#define SUMS_128 SUMS_64, SUMS_8(8)
#define SUMS_160 SUMS_128, SUMS_4(16)
#define SUMS_256 SUMS_128, SUMS_8(16), SUMS_8(24)
// Their places in the instruction's text.
#define PLACES_64                                                                                                                   \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "                                    \
    "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define PLACES_128 PLACES_64 ", "                                                                                                   \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, "                          \
    "%52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define PLACES_160 PLACES_128 ", "                                                                                                  \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"
#define PLACES_256 PLACES_160 ", "                                                                                                  \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, "                          \
    "%100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, "      \
    "%120, %121, %122, %123, %124, %125, %126, %127"
// The first factor, the second, and whether to add, which come after the sums.
#define FACTORS_64 "%32, %33"
#define ADD_64 "%34"
#define FACTORS_128 "%64, %65"
#define ADD_128 "%66"
#define FACTORS_160 "%80, %81"
#define ADD_160 "%82"
#define FACTORS_256 "%128, %129"
#define ADD_256 "%130"
#define WGMMA(type, columns, across)                                                                                                \
    template <>                                                                                                                     \
    __device__ __forceinline__ void multiply<type, columns, across>(float (&sums)[columns / 8][4], unsigned long long a,            \
                                                                    unsigned long long b, bool add) {                               \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " ADD_##columns ", 0;\n"                                                 \
                     "wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." #type "." #type " {" PLACES_##columns "}, "            \
                     FACTORS_##columns ", add, 1, 1, 0, " #across ";\n}"                                                            \
                     : SUMS_##columns                                                                                               \
                     : "l"(a), "l"(b), "r"((int)add)                                                                                \
                     : "memory");                                                                                                   \
    }
#endif

#define WGMMAS(type, columns) WGMMA(type, columns, 0) WGMMA(type, columns, 1)

WGMMAS(f16, 64)
WGMMAS(f16, 128)
WGMMAS(f16, 160)
WGMMAS(f16, 256)
WGMMAS(bf16, 64)
WGMMAS(bf16, 128)
WGMMAS(bf16, 160)
WGMMAS(bf16, 256)
