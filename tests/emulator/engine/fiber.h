// Fibers: the threads of a block, each with its own stack, switched by hand.
#pragma once
#include <cstddef>
#include <vector>

#include "emulator/types.h"
#include "emulator/engine.h"
#include "emulator/matrix.h"

namespace emulator {

enum class State : unsigned char { ready, running, at_barrier, at_cluster_barrier, at_phase, in_warp_operation, finished };

// A copy that has been started and has not landed.
struct Copy {
    unsigned char* to;
    const unsigned char* from;
    unsigned bytes, valid;
};

// A product of this thread's warpgroup that has been started and not carried out: descriptors of its factors, and whether it is added to the sums.
struct Multiplication {
    unsigned long long a, b;
    bool add;
    Factor factor;
    bool across;  // the second factor is MN-major
};

// The products that a thread has started (wgmma). While any is on its way, the thread's own sums are poisoned and their values are kept here.
struct Multiplications {
    float* sums;
    std::vector<float> kept;
    std::vector<Multiplication> list;
    std::vector<size_t> group_ends;  // closed groups, as those of copies
    bool fenced;
};

struct Fiber : Thread {
    Block* home;  // its block
    State state;
    int barrier;  // where it waits, if at_barrier
    Site site;
    void* stack_pointer;
    unsigned char* stack;
    void* fake_stack;    // AddressSanitizer's
    void* history;       // ThreadSanitizer's
    std::vector<Copy> copies;
    std::vector<size_t> group_ends;  // closed groups of `copies`, oldest first, as numbers of copies
    Multiplications multiplications;
};

// The most blocks of a cluster.
constexpr unsigned MOST_BLOCKS = 8;

// The fibers of a cluster of `count` threads; they keep their stacks from cluster to cluster.
Fiber* fibers(unsigned count);

// Prepares a fiber to start at `body`, which never returns.
void prepare(Fiber& fiber, void (*body)());

// Runs `to` (null: the thread that called `launch`) instead of what runs now. `last`: what runs now will never run again.
void switch_to(Fiber* to, bool last = false);

inline Fiber& running() { return *static_cast<Fiber*>(thread); }

}  // namespace emulator
