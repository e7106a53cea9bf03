// What a compiled kernel and libemulator.so (../../engine) know of each other.
#pragma once

namespace emulator {

// The running CUDA thread.
struct Thread {
    uint3 index;      // threadIdx
    unsigned number;  // within the block, x fastest
    unsigned lane;
    unsigned warp;
};

// A running block and its launch.
struct Block {
    uint3 index;  // blockIdx
    dim3 size;    // blockDim
    dim3 grid;    // gridDim
    unsigned number;  // in its cluster
    unsigned char* dynamic;
    size_t dynamic_bytes;
    unsigned char *static_begin, *static_end;
};

extern Thread* thread;
extern Block* block;  // of the running thread

// Ends the launch with an error that names kernel, block and thread: the emulated driver reports CUDA_ERROR_LAUNCH_FAILED.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// A place in a source file; two places differ in `number`, also on one line.
struct Site {
    int line;
    int number;
};

// Waits for `count` threads at barrier `barrier` (0 to 15); count 0 means all threads of the block that have not finished. Barrier 0 with count 0 is
// __syncthreads(): all must come from one place.
void wait_at_barrier(int barrier, unsigned count, Site site);

// What a warp does together. Each lane of `mask` brings a pointer to its own argument; the last one to arrive calls `act` with all of them (indexed by
// lane) and the lanes that take part: those of `mask` that have not finished. `operation` tells operations apart by address.
typedef void (*Act)(void* const* arguments, unsigned lanes);
void act_as_warp(unsigned mask, const char* operation, void* argument, Act act);

// For an Act: one lane reads and writes the arguments of all, which ThreadSanitizer must not take for a race.
#define EMULATOR_ONE_FOR_ALL __attribute__((no_sanitize("thread"), noinline))

// Lets other threads run, for loops that wait for them without a barrier.
void yield();

// Fails unless `bytes` bytes from `pointer` are shared memory of this block, aligned to `alignment`.
void require_shared(const void* pointer, unsigned bytes, unsigned alignment, const char* operation);

// For ThreadSanitizer: everything that this thread did before `release` comes before what another does after `acquire` of the same address.
void release(void* address);
void acquire(void* address);

// An entry point of a compiled kernel source.
struct Entry {
    const char* name;
    void (*call)(void** arguments);
    const unsigned* sizes;  // bytes of each parameter
    unsigned parameters;
    unsigned most_threads;  // from __launch_bounds__, 1024 without
    unsigned cluster;       // blocks of a cluster, from __cluster_dims__, 1 without
};

// What a compiled kernel source exports under the name `emulator_library`.
struct Library {
    const Entry* entries;
    unsigned count;
    unsigned architecture;  // __CUDA_ARCH__, 800 for sm_80
    unsigned char *shared_begin, *shared_end;
};

// Runs a grid to its end. False if a thread failed; the message is on stderr.
bool launch(const Library& library, const Entry& entry, dim3 grid, dim3 block, size_t dynamic_bytes, void** arguments);

}  // namespace emulator

#define threadIdx (emulator::thread->index)
#define blockIdx (emulator::block->index)
#define blockDim (emulator::block->size)
#define gridDim (emulator::block->grid)
#define warpSize 32
#define __syncthreads() emulator::wait_at_barrier(0, 0, emulator::Site{__LINE__, __COUNTER__})
