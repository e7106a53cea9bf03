// How the threads of a cluster of blocks take turns. Most clusters are one block.
#pragma once
#include "fiber.h"

namespace emulator {

// Puts a fiber at the end of the queue of those that can run.
void make_ready(Fiber& fiber);

// At its beginning: what this fiber does as early as it may shows what others do too late.
void make_next(Fiber& fiber);

// Goes on with the next fiber that can run; reports a deadlock if there is none although some have not finished.
void run_next(bool last = false);

// Runs the `count` blocks of a cluster from their first threads to their last: `body` per thread. A block starts when no thread of those before can go on.
void run_cluster(const char* kernel, Block* blocks, unsigned count, void (*body)());

// What lies in block `number` of the cluster where `shared` lies in the running one; fails if there is no such block any more.
void* in_block(unsigned number, void* shared, const char* operation);

// Whether `EMULATOR_ORDER=reverse` asks for the last threads and blocks first: a missing barrier often shows in one order only.
bool reverse_order();

// A fiber of the running block.
Fiber& fiber_of_block(unsigned number);

// Whether a thread called `fail` in this launch.
bool has_failed();
void forget_failure();

// A fault in a kernel ends the launch that this thread makes. (faults.cpp)
void watch_for_faults();

// Barriers of shared memory and boxes on their way. (barrier.cpp, box.cpp)
void start_barriers();
unsigned waiting_for_phases();
void box_has_landed(void* barrier, unsigned bytes);
void require_published(void* barrier);
void start_boxes();
bool land_a_box();
unsigned boxes_on_their_way();  // to the running block

// What a warpgroup does together: as `act_as_warp`, with the arguments of 128 threads. (warpgroup.cpp)
void act_as_warpgroup(const char* operation, void* argument, void (*act)(void* const* arguments));
void start_warpgroups(unsigned threads);
void require_registers_fit();

// The calling thread ends: those that only wait for it go on. (warp.cpp)
void leave_warp(Fiber& fiber);
void start_warps(unsigned threads);

}  // namespace emulator
