// Operations of a warp.
#include "block.h"
#include "emulator/warp.h"

namespace emulator {

namespace {

constexpr unsigned MOST_PENDING = 8;

// An operation that some lanes of its mask have reached.
struct Pending {
    unsigned mask, arrived;
    const char* operation;
    Act act;
    void* arguments[32];
};

struct Warp {
    unsigned alive;
    Pending pending[MOST_PENDING];
    char order[2];
    unsigned syncs;
};

Warp warps[MOST_BLOCKS][32];

Warp& warp_of(const Fiber& fiber) { return warps[fiber.home->number][fiber.warp]; }

Pending& find(Warp& warp, unsigned mask, const char* operation, Act act, unsigned self) {
    Pending* free = nullptr;
    for (Pending& pending : warp.pending) {
        if (pending.arrived == 0) {
            free = free == nullptr ? &pending : free;
        } else if (pending.mask == mask && pending.operation == operation && (pending.arrived & self) == 0) {
            return pending;
        }
    }
    if (free == nullptr) {
        fail("%s: the lanes of this warp wait in %u different operations", operation, MOST_PENDING);
    }
    free->mask = mask;
    free->operation = operation;
    free->act = act;
    return *free;
}

bool complete(const Warp& warp, const Pending& pending) {
    return pending.arrived != 0 && (pending.arrived & warp.alive) == (pending.mask & warp.alive);
}

void finish(Pending& pending, unsigned warp, unsigned self) {
    pending.act(pending.arguments, pending.arrived);
    unsigned others = pending.arrived & ~self;
    pending.arrived = 0;
    for (unsigned step = 0; step < 32; ++step) {
        unsigned lane = reverse_order() ? 31 - step : step;
        if (others >> lane & 1) {
            make_ready(fiber_of_block(warp * 32 + lane));
        }
    }
}

}  // namespace

void start_warps(unsigned threads) {
    for (auto& of_block : warps) {
        for (unsigned warp = 0; warp < 32; ++warp) {
            unsigned first = warp * 32, count = threads > first ? threads - first : 0;
            of_block[warp].alive = count >= 32 ? 0xffffffffu : (1u << count) - 1;
            for (Pending& pending : of_block[warp].pending) {
                pending.arrived = 0;
            }
        }
    }
}

void leave_warp(Fiber& fiber) {
    Warp& warp = warp_of(fiber);
    warp.alive &= ~(1u << fiber.lane);
    for (Pending& pending : warp.pending) {
        if (complete(warp, pending)) {
            finish(pending, fiber.warp, 0);
        }
    }
}

void act_as_warp(unsigned mask, const char* operation, void* argument, Act act) {
    Fiber& fiber = running();
    Warp& warp = warp_of(fiber);
    unsigned self = 1u << fiber.lane;
    if ((mask & self) == 0) {
        fail("%s: lane %u is not in the mask 0x%08x", operation, fiber.lane, mask);
    }
    Pending& pending = find(warp, mask, operation, act, self);
    pending.arguments[fiber.lane] = argument;
    pending.arrived |= self;
    if (complete(warp, pending)) {
        finish(pending, fiber.warp, self);
    } else {
        fiber.state = State::in_warp_operation;
        run_next();
    }
}

void synchronize_warp(unsigned mask) {
    // All lanes of a call see the same parity: the count goes up when the last one has come, before anyone goes on.
    Warp& warp = warp_of(running());
    char* order = &warp.order[warp.syncs & 1];
    release(order);
    unsigned* syncs = &warp.syncs;
    act_as_warp(mask, "__syncwarp", &syncs, [](void* const* arguments, unsigned lanes) {
        ++**static_cast<unsigned**>(arguments[__builtin_ctz(lanes)]);
    });
    acquire(order);
}

}  // namespace emulator
