// mbarrier: phases that end when so many threads have arrived and so many bytes have landed. The state lies in the eight bytes themselves.
#include <cstring>
#include <map>

#include "emulator/hopper.h"

#include "block.h"

namespace emulator {

namespace {

constexpr unsigned MARK = 1;  // fresh shared memory, all ones, has 3 there

constexpr unsigned MOST_ARRIVALS = (1u << 20) - 1, MOST_BYTES = (1u << 20) - 1;

// The phase that is running, with the ranges of the PTX ISA.
struct Phase {
    unsigned long long pending : 20, arrivals : 20;  // arrivals that are missing; of every phase
    long long bytes : 21;                            // announced and not landed
    unsigned long long parity : 1, mark : 2;
};
static_assert(sizeof(Phase) == 8, "an mbarrier has eight bytes");

std::map<void*, std::vector<Fiber*>> waiting;
// Barriers that their thread has not published, and that thread.
std::map<void*, Fiber*> unpublished;

Phase read(void* barrier) {
    Phase phase;
    std::memcpy(&phase, barrier, sizeof phase);
    return phase;
}

void write(void* barrier, const Phase& phase) { std::memcpy(barrier, &phase, sizeof phase); }

Phase read_started(void* barrier, const char* operation) {
    Phase phase = read(barrier);
    if (phase.mark != MARK) {
        fail("%s: there is no barrier at this address (mbarrier.init has not made one)", operation);
    }
    return phase;
}

// What ThreadSanitizer orders by: one address per parity.
void* order(void* barrier, unsigned parity) { return static_cast<unsigned char*>(barrier) + (parity & 1); }

// Ends the phase if nothing is missing, and keeps the barrier.
void settle(void* barrier, Phase phase) {
    bool over = phase.pending == 0 && phase.bytes == 0;
    if (over) {
        phase.parity ^= 1;
        phase.pending = phase.arrivals;
    }
    write(barrier, phase);
    if (over) {
        std::vector<Fiber*> woken;
        woken.swap(waiting[barrier]);
        for (Fiber* fiber : woken) {
            make_next(*fiber);
        }
    }
}

void arrive(void* barrier, unsigned bytes, const char* operation) {
    Phase phase = read_started(barrier, operation);
    if (phase.pending == 0) {
        fail("%s: all %llu arrivals of this phase have come", operation, static_cast<unsigned long long>(phase.arrivals));
    }
    release(order(barrier, phase.parity));
    phase.pending--;
    phase.bytes += bytes;
    settle(barrier, phase);
}

}  // namespace

void start_barriers() {
    waiting.clear();
    unpublished.clear();
}

unsigned waiting_for_phases() {
    size_t count = 0;
    for (auto& [barrier, fibers] : waiting) {
        count += fibers.size();
    }
    return static_cast<unsigned>(count);
}

void require_published(void* barrier) {
    read_started(barrier, "cp.async.bulk.tensor");
    if (unpublished.count(barrier) != 0) {
        fail("cp.async.bulk.tensor: its barrier was made, but not published to the copy engine (fence.mbarrier_init, fence.proxy.async)");
    }
}

void box_has_landed(void* barrier, unsigned bytes) {
    Phase phase = read(barrier);
    phase.bytes -= bytes;
    settle(barrier, phase);
}

void barrier_init(void* barrier, unsigned arrivals) {
    require_shared(barrier, 8, 8, "mbarrier.init");
    if (arrivals == 0 || arrivals > MOST_ARRIVALS) {
        fail("mbarrier.init: %u arrivals", arrivals);
    }
    Phase phase = {};
    phase.pending = phase.arrivals = arrivals;
    phase.mark = MARK;
    write(barrier, phase);
    unpublished[barrier] = &running();
}

void publish_barriers() {
    for (auto at = unpublished.begin(); at != unpublished.end();) {
        at = at->second == &running() ? unpublished.erase(at) : std::next(at);
    }
}

void barrier_arrive(void* barrier, unsigned bytes) {
    require_shared(barrier, 8, 8, "mbarrier.arrive");
    if (bytes > MOST_BYTES) {
        fail("mbarrier.arrive.expect_tx: %u bytes", bytes);
    }
    arrive(barrier, bytes, "mbarrier.arrive");
}

void barrier_arrive_at(void* barrier, unsigned number) {
    const char* operation = "mbarrier.arrive.shared::cluster";
    require_shared(barrier, 8, 8, operation);
    arrive(in_block(number, barrier, operation), 0, operation);
}

bool barrier_try_wait(void* barrier, unsigned parity) {
    require_shared(barrier, 8, 8, "mbarrier.try_wait");
    Phase phase = read_started(barrier, "mbarrier.try_wait");
    if (phase.parity == (parity & 1)) {
        Fiber& fiber = running();
        fiber.state = State::at_phase;
        waiting[barrier].push_back(&fiber);
        run_next();
    }
    acquire(order(barrier, parity));
    return true;
}

}  // namespace emulator
