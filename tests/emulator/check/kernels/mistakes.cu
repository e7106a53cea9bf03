// One kernel per class of mistake. Right without -DMISTAKE, wrong with it.
#include "common/mma.cuh"

#ifdef MISTAKE
constexpr bool mistake = true;
#else
constexpr bool mistake = false;
#endif

// Each thread reads what its neighbour `step` further (at most: the last one) wrote; the mistake: no barrier in between.
extern "C" __global__ void missing_barrier(float* output, int step) {
    __shared__ float values[128];
    int thread = threadIdx.x;
    values[thread] = static_cast<float>(thread);
    if (!mistake) {
        __syncthreads();
    }
    output[thread] = values[min(max(thread + step, 0), 127)];
}

// The mistake: the last element is never written.
extern "C" __global__ void unwritten_shared(float* output, int) {
    __shared__ float values[128];
    int thread = threadIdx.x;
    if (!mistake || thread < 127) {
        values[thread] = static_cast<float>(thread + 1) - 1.0f;
    }
    __syncthreads();
    output[thread] = values[thread];
}

// The same with dynamic shared memory.
extern "C" __global__ void unwritten_dynamic(float* output, int) {
    DYNAMIC_SHARED(float, values);
    int thread = threadIdx.x;
    if (!mistake || thread > 0) {
        values[thread] = static_cast<float>(thread);
    }
    __syncthreads();
    output[thread] = values[thread];
}

// The mistake: a sum that starts from nothing.
extern "C" __global__ void unset_local(float* output, int) {
    float sum;
    if (!mistake) {
        sum = 0.0f;
    }
    for (int i = 0; i < static_cast<int>(threadIdx.x); ++i) {
        sum += 1.0f;
    }
    output[threadIdx.x] = sum;
}

// The mistake: one thread too many writes.
extern "C" __global__ void write_beyond_global(float* output, int) {
    output[threadIdx.x + (mistake && threadIdx.x == 127 ? 1 : 0)] = static_cast<float>(threadIdx.x);
}

extern "C" __global__ void read_beyond_global(float* output, int) {
    output[threadIdx.x] = static_cast<float>(threadIdx.x);
    if (threadIdx.x == 127) {
        output[127] = output[mistake ? 128 : 127];
    }
}

// The mistake: the row of a thread is one element too wide.
extern "C" __global__ void write_beyond_dynamic(float* output, int) {
    DYNAMIC_SHARED(float, values);
    int thread = threadIdx.x;
    values[thread + (mistake ? 1 : 0)] = static_cast<float>(thread);
    __syncthreads();
    output[thread] = values[thread + (mistake ? 1 : 0)];
}

// The mistake: far away.
extern "C" __global__ void wild_write(float* output, int) {
    output[threadIdx.x + (mistake ? 1ull << 40 : 0)] = static_cast<float>(threadIdx.x);
}

// The mistake: a stack without end. (volatile, so that the compiler keeps it.)
__device__ int deep(volatile int level) { return level == 0 ? 0 : deep(level + (mistake ? 1 : -1)) + 1; }

extern "C" __global__ void endless_recursion(float* output, int) { output[threadIdx.x] = static_cast<float>(threadIdx.x + deep(5) - 5); }

extern "C" __global__ void division_by_zero(float* output, int) {
    volatile int divisor = mistake ? 0 : 1;
    output[threadIdx.x] = static_cast<float>(threadIdx.x / divisor);
}

extern "C" __global__ void read_beyond_static(float* output, int) {
    __shared__ float values[128];
    int thread = threadIdx.x;
    values[thread] = static_cast<float>(thread);
    __syncthreads();
    output[thread] = mistake && thread == 127 ? values[thread + 1] : values[thread];
}

// The mistake: the copy is used before it has landed.
extern "C" __global__ void missing_wait(float* output, const float* input) {
    __shared__ float values[128];
    int thread = threadIdx.x;
    copy_async<4>(values + thread, input + thread);
    copy_async_commit();
    if (!mistake) {
        copy_async_wait<0>();
    }
    __syncthreads();
    output[thread] = values[thread];
}

// The mistake: waits for one group too few.
extern "C" __global__ void short_wait(float* output, const float* input) {
    __shared__ float values[128];
    int thread = threadIdx.x;
    copy_async_commit();
    copy_async<4>(values + thread, input + thread);
    copy_async_commit();
    copy_async_wait<mistake ? 1 : 0>();
    __syncthreads();
    output[thread] = values[thread];
}

extern "C" __global__ void divergent_barrier(float* output, int) {
    output[threadIdx.x] = static_cast<float>(threadIdx.x);
    if (mistake && threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}

// The mistake: only half of a warp reaches the vote of the whole warp.
extern "C" __global__ void deadlock(float* output, int) {
    output[threadIdx.x] = static_cast<float>(threadIdx.x);
    if (mistake && threadIdx.x % 32 < 16) {
        __syncthreads();
    } else {
        __syncwarp();
        __syncthreads();
    }
}

// The mistake: lane 31 is asked, but the mask leaves it out.
extern "C" __global__ void absent_lane(float* output, int) {
    int lane = threadIdx.x % 32;
    float value = static_cast<float>(threadIdx.x);
    if (lane < 31) {
        value = __shfl_sync(0x7fffffffu, value, mistake ? 31 : lane);
    }
    output[threadIdx.x] = value;
}

// The mistake: rows 8 bytes apart from their alignment.
extern "C" __global__ void misaligned_rows(float* output, int) {
    __shared__ __align__(16) unsigned short values[32 * 8 + 8];
    for (int i = threadIdx.x; i < 32 * 8 + 8; i += 128) {
        values[i] = 0;
    }
    __syncthreads();
    unsigned fragment[4];
    load_matrices(fragment, values + threadIdx.x % 32 * 8 + (mistake ? 4 : 0));
    output[threadIdx.x] = static_cast<float>(threadIdx.x + fragment[0]);
}

extern "C" __global__ void rows_outside_shared(float* output, int) {
    __shared__ __align__(16) unsigned short values[32 * 8];
    for (int i = threadIdx.x; i < 32 * 8; i += 128) {
        values[i] = 0;
    }
    __syncthreads();
    unsigned fragment[4];
    load_matrices(fragment, mistake ? static_cast<const void*>(output) : values + threadIdx.x % 32 * 8);
    output[threadIdx.x] = static_cast<float>(threadIdx.x + fragment[0]);
}

extern "C" __global__ void __launch_bounds__(128) copy(float* output, const float* input) { output[threadIdx.x] = input[threadIdx.x]; }

// Two rounds over one buffer. The mistake: no barrier before the second round overwrites what the first still reads.
extern "C" __global__ void late_barrier(float* output, int) {
    __shared__ float value;
    int thread = threadIdx.x;
    float sum = 0.0f;
    for (int round = 0; round < 2; ++round) {
        if (thread == 0) {
            value = static_cast<float>(round);
        }
        __syncthreads();
        sum += value;
        if (!mistake) {
            __syncthreads();
        }
    }
    output[thread] = sum + static_cast<float>(thread) - 1.0f;
}

// The mistake: four floats at once from an address that is not aligned to them.
extern "C" __global__ void misaligned_access(float* output, int) {
    __shared__ __align__(16) float values[128 * 4 + 4];
    int thread = threadIdx.x;
    float* own = values + thread * 4 + (mistake ? 1 : 0);
    *reinterpret_cast<float4*>(own) = make_float4(static_cast<float>(thread), 0.0f, 0.0f, 0.0f);
    output[thread] = own[0];
}
