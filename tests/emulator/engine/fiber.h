// Fibers: the threads of a block, each with its own stack, switched by hand.
#pragma once
#include <cstddef>
#include <vector>

#include "emulator/types.h"
#include "emulator/engine.h"

namespace emulator {

enum class State : unsigned char { ready, running, at_barrier, in_warp_operation, finished };

// A copy that has been started and has not landed.
struct Copy {
    unsigned char* to;
    const unsigned char* from;
    unsigned bytes, valid;
};

struct Fiber : Thread {
    State state;
    int barrier;  // where it waits, if at_barrier
    Site site;
    void* stack_pointer;
    unsigned char* stack;
    void* fake_stack;    // AddressSanitizer's
    void* history;       // ThreadSanitizer's
    std::vector<Copy> copies;
    std::vector<size_t> group_ends;  // closed groups of `copies`, oldest first, as numbers of copies
};

// The fibers of a block of `count` threads; they keep their stacks from block to block.
Fiber* fibers(unsigned count);

// Prepares a fiber to start at `body`, which never returns.
void prepare(Fiber& fiber, void (*body)());

// Runs `to` (null: the thread that called `launch`) instead of what runs now. `last`: what runs now will never run again.
void switch_to(Fiber* to, bool last = false);

inline Fiber& running() { return *static_cast<Fiber*>(thread); }

}  // namespace emulator
