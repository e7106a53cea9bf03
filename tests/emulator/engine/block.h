// How the threads of a block take turns.
#pragma once
#include "fiber.h"

namespace emulator {

// Puts a fiber at the end of the queue of those that can run.
void make_ready(Fiber& fiber);

// At its beginning: what this fiber does as early as it may shows what others do too late.
void make_next(Fiber& fiber);

// Goes on with the next fiber that can run; reports a deadlock if there is none although some have not finished.
void run_next(bool last = false);

// Runs one block from its first thread to its last: `body` per thread.
void run_block(const char* kernel, void (*body)());

// Whether `EMULATOR_ORDER=reverse` asks for the last threads and blocks first: a missing barrier often shows in one order only.
bool reverse_order();

// Threads of the block that have not finished; fibers of the block.
unsigned unfinished();
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
unsigned boxes_on_their_way();

// What a warpgroup does together: as `act_as_warp`, with the arguments of 128 threads. (warpgroup.cpp)
void act_as_warpgroup(const char* operation, void* argument, void (*act)(void* const* arguments));
void start_warpgroups(unsigned threads);
void require_registers_fit();

// The calling thread ends: those that only wait for it go on. (warp.cpp)
void leave_warp(Fiber& fiber);
void start_warps(unsigned threads);

}  // namespace emulator
