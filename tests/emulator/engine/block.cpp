#include "block.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>

#include "emulator/hopper.h"

namespace emulator {

Block* block = nullptr;

namespace {

constexpr int BARRIERS = 16;

struct Barrier {
    std::vector<Fiber*> waiting;
    unsigned round = 0;
    char order[2];  // what ThreadSanitizer orders by, one per parity of the round
};

// What the threads of one block have in common.
struct Team {
    unsigned alive = 0;
    Barrier barriers[BARRIERS];
};

Fiber* all = nullptr;
Block* blocks = nullptr;  // of the cluster
unsigned count = 0, started = 0;
unsigned threads = 0;  // of a block
unsigned alive = 0;    // of the cluster
std::deque<Fiber*> ready;
Team teams[MOST_BLOCKS];
Barrier of_cluster;
const char* kernel_name = "";
void (*thread_body)() = nullptr;
bool failed = false;
char block_order, caller_order;

void open_barrier(Barrier& barrier) {
    std::vector<Fiber*> waiting;
    waiting.swap(barrier.waiting);
    barrier.round++;
    if (reverse_order()) {
        std::reverse(waiting.begin(), waiting.end());
    }
    for (Fiber* fiber : waiting) {
        make_ready(*fiber);
    }
}

// Waits until `expected` threads are at the barrier.
void wait_at(Barrier& barrier, State state, size_t expected) {
    Fiber& fiber = running();
    char* order = &barrier.order[barrier.round & 1];
    release(order);
    fiber.state = state;
    barrier.waiting.push_back(&fiber);
    if (barrier.waiting.size() == expected) {
        open_barrier(barrier);
    }
    run_next();
    acquire(order);
}

// Who waits where, for the report of a deadlock.
std::string describe_waiting() {
    unsigned in_warp_operation = 0;
    std::string text;
    for (unsigned number = 0; number < count * threads; ++number) {
        in_warp_operation += all[number].state == State::in_warp_operation;
    }
    for (unsigned of_block = 0; of_block < count; ++of_block) {
        for (int number = 0; number < BARRIERS; ++number) {
            const std::vector<Fiber*>& waiting = teams[of_block].barriers[number].waiting;
            if (!waiting.empty()) {
                text += std::to_string(waiting.size()) + " threads wait at barrier " + std::to_string(number) + " (line " +
                        std::to_string(waiting[0]->site.line) + "), ";
            }
        }
    }
    if (!of_cluster.waiting.empty()) {
        text += std::to_string(of_cluster.waiting.size()) + " threads wait for the others of their cluster, ";
    }
    if (waiting_for_phases() > 0) {
        text += std::to_string(waiting_for_phases()) + " threads wait for a phase of a barrier in shared memory, ";
    }
    return text + std::to_string(in_warp_operation) + " in a warp operation, " + std::to_string(count * threads - alive) + " have finished";
}

// For threads that only those had waited for that have ended.
void open_if_all_are_there(Barrier& barrier, unsigned expected) {
    if (!barrier.waiting.empty() && barrier.waiting.size() == expected) {
        open_barrier(barrier);
    }
}

void thread_start() {
    acquire(&block_order);
    thread_body();
    release(&caller_order);
    Fiber& fiber = running();
    if (!fiber.multiplications.list.empty()) {
        fail("this thread ended before it waited for its products (wgmma)");
    }
    fiber.state = State::finished;
    Team& team = teams[block->number];
    team.alive--;
    alive--;
    leave_warp(fiber);
    open_if_all_are_there(team.barriers[0], team.alive);
    open_if_all_are_there(of_cluster, alive);
    if (team.alive == 0) {
        if (boxes_on_their_way() > 0) {
            fail("the block ended before %u boxes had landed", boxes_on_their_way());
        }
        require_registers_fit();
    }
    run_next(true);
}

// Makes the fibers of the cluster's next block. False if all have started.
bool start_a_block() {
    if (started == count) {
        return false;
    }
    Block& starting = blocks[reverse_order() ? count - 1 - started : started];
    started++;
    const dim3& size = starting.size;
    for (unsigned step = 0; step < threads; ++step) {
        unsigned number = reverse_order() ? threads - 1 - step : step;
        Fiber& fiber = all[starting.number * threads + number];
        fiber.home = &starting;
        fiber.number = number;
        fiber.lane = number % 32;
        fiber.warp = number / 32;
        fiber.index = {number % size.x, number / size.x % size.y, number / (size.x * size.y)};
        fiber.copies.clear();
        fiber.group_ends.clear();
        fiber.multiplications = {};
        prepare(fiber, thread_start);
        make_ready(fiber);
    }
    return true;
}

}  // namespace

bool reverse_order() {
    static const bool reverse = [] {
        const char* order = std::getenv("EMULATOR_ORDER");
        return order != nullptr && std::strcmp(order, "reverse") == 0;
    }();
    return reverse;
}

Fiber& fiber_of_block(unsigned number) { return all[block->number * threads + number]; }
bool has_failed() { return failed; }
void forget_failure() { failed = false; }

void make_ready(Fiber& fiber) {
    fiber.state = State::ready;
    ready.push_back(&fiber);
}

void make_next(Fiber& fiber) {
    fiber.state = State::ready;
    ready.push_front(&fiber);
}

void run_next(bool last) {
    while (ready.empty() && (start_a_block() || land_a_box())) {
    }
    if (ready.empty()) {
        if (alive > 0) {
            fail("deadlock: %s", describe_waiting().c_str());
        }
        switch_to(nullptr, last);
        return;
    }
    Fiber* next = ready.front();
    ready.pop_front();
    switch_to(next, last);
}

void yield() {
    make_ready(running());
    run_next();
}

void fail(const char* format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    std::fprintf(stderr, "emulator: kernel %s, block (%u, %u, %u)", kernel_name, block->index.x, block->index.y, block->index.z);
    if (thread != nullptr) {
        std::fprintf(stderr, ", thread (%u, %u, %u)", thread->index.x, thread->index.y, thread->index.z);
    }
    std::fprintf(stderr, ": %s\n", message);
    failed = true;
    if (thread != nullptr) {
        switch_to(nullptr, true);  // the other fibers are left where they are
    }
    std::abort();
}

void wait_at_barrier(int number, unsigned count, Site site) {
    if (number < 0 || number >= BARRIERS) {
        fail("barrier %d: there are 0 to %d", number, BARRIERS - 1);
    }
    Team& team = teams[block->number];
    Barrier& barrier = team.barriers[number];
    Fiber& fiber = running();
    if (number == 0 && count == 0 && !barrier.waiting.empty() && barrier.waiting[0]->site.number != site.number) {
        fail("divergent barrier: this thread is at the __syncthreads() of line %d, others wait at that of line %d", site.line,
             barrier.waiting[0]->site.line);
    }
    fiber.barrier = number;
    fiber.site = site;
    wait_at(barrier, State::at_barrier, count == 0 ? team.alive : count);
}

unsigned block_of_cluster() { return block->number; }

void synchronize_cluster() { wait_at(of_cluster, State::at_cluster_barrier, alive); }

void* in_block(unsigned number, void* shared, const char* operation) {
    if (number >= count) {
        fail("%s: block %u of a cluster of %u", operation, number, count);
    }
    if (teams[number].alive == 0) {
        fail("%s: block %u of the cluster has ended", operation, number);
    }
    return number == block->number ? shared : blocks[number].dynamic + (static_cast<unsigned char*>(shared) - block->dynamic);
}

void run_cluster(const char* kernel, Block* its_blocks, unsigned its_count, void (*body)()) {
    kernel_name = kernel;
    thread_body = body;
    block = blocks = its_blocks;
    count = its_count;
    started = 0;
    threads = block->size.x * block->size.y * block->size.z;
    alive = count * threads;
    all = fibers(count * threads);
    ready.clear();
    of_cluster.waiting.clear();
    for (Team& team : teams) {
        team.alive = threads;
        for (Barrier& barrier : team.barriers) {
            barrier.waiting.clear();
        }
    }
    start_warps(threads);
    start_warpgroups(threads);
    start_barriers();
    start_boxes();
    release(&block_order);
    run_next();
    acquire(&caller_order);
}

}  // namespace emulator
