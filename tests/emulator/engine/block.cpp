#include "block.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>

namespace emulator {

Block block;

namespace {

constexpr int BARRIERS = 16;

struct Barrier {
    std::vector<Fiber*> waiting;
    unsigned round = 0;
    char order[2];  // what ThreadSanitizer orders by, one per parity of the round
};

Fiber* all = nullptr;
unsigned threads = 0, alive = 0;
std::deque<Fiber*> ready;
Barrier barriers[BARRIERS];
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

// Who waits where, for the report of a deadlock.
std::string describe_waiting() {
    unsigned in_warp_operation = 0;
    std::string text;
    for (unsigned number = 0; number < threads; ++number) {
        in_warp_operation += all[number].state == State::in_warp_operation;
    }
    for (int number = 0; number < BARRIERS; ++number) {
        if (!barriers[number].waiting.empty()) {
            text += std::to_string(barriers[number].waiting.size()) + " threads wait at barrier " + std::to_string(number) + " (line " +
                    std::to_string(barriers[number].waiting[0]->site.line) + "), ";
        }
    }
    if (waiting_for_phases() > 0) {
        text += std::to_string(waiting_for_phases()) + " threads wait for a phase of a barrier in shared memory, ";
    }
    return text + std::to_string(in_warp_operation) + " in a warp operation, " + std::to_string(threads - alive) + " have finished";
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
    alive--;
    leave_warp(fiber);
    Barrier& all_threads = barriers[0];
    if (!all_threads.waiting.empty() && all_threads.waiting.size() == alive) {
        open_barrier(all_threads);
    }
    run_next(true);
}

}  // namespace

bool reverse_order() {
    static const bool reverse = [] {
        const char* order = std::getenv("EMULATOR_ORDER");
        return order != nullptr && std::strcmp(order, "reverse") == 0;
    }();
    return reverse;
}

unsigned unfinished() { return alive; }
Fiber& fiber_of_block(unsigned number) { return all[number]; }
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
    if (alive == 0) {
        if (boxes_on_their_way() > 0) {
            fail("the block ended before %u boxes had landed", boxes_on_their_way());
        }
        require_registers_fit();
    }
    while (ready.empty() && land_a_box()) {
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
    std::fprintf(stderr, "emulator: kernel %s, block (%u, %u, %u)", kernel_name, block.index.x, block.index.y, block.index.z);
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
    Barrier& barrier = barriers[number];
    Fiber& fiber = running();
    if (number == 0 && count == 0 && !barrier.waiting.empty() && barrier.waiting[0]->site.number != site.number) {
        fail("divergent barrier: this thread is at the __syncthreads() of line %d, others wait at that of line %d", site.line,
             barrier.waiting[0]->site.line);
    }
    char* order = &barrier.order[barrier.round & 1];
    release(order);
    fiber.state = State::at_barrier;
    fiber.barrier = number;
    fiber.site = site;
    barrier.waiting.push_back(&fiber);
    if (barrier.waiting.size() == (count == 0 ? alive : count)) {
        open_barrier(barrier);
    }
    run_next();
    acquire(order);
}

void run_block(const char* kernel, void (*body)()) {
    kernel_name = kernel;
    thread_body = body;
    threads = alive = block.size.x * block.size.y * block.size.z;
    all = fibers(threads);
    ready.clear();
    for (Barrier& barrier : barriers) {
        barrier.waiting.clear();
    }
    start_warps(threads);
    start_warpgroups(threads);
    start_barriers();
    start_boxes();
    release(&block_order);
    for (unsigned step = 0; step < threads; ++step) {
        unsigned number = reverse_order() ? threads - 1 - step : step;
        Fiber& fiber = all[number];
        fiber.number = number;
        fiber.lane = number % 32;
        fiber.warp = number / 32;
        fiber.index = {number % block.size.x, number / block.size.x % block.size.y, number / (block.size.x * block.size.y)};
        fiber.copies.clear();
        fiber.group_ends.clear();
        fiber.multiplications = {};
        prepare(fiber, thread_start);
        make_ready(fiber);
    }
    run_next();
    acquire(&caller_order);
}

}  // namespace emulator
