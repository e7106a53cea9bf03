// What four neighbouring warps do together, and the registers that they have.
#include "block.h"
#include "emulator/hopper.h"

namespace emulator {

namespace {

constexpr unsigned SIZE = 128, REGISTERS_OF_BLOCK = 65536, MOST_REGISTERS = 255;

struct Warpgroup {
    const char* operation;
    unsigned arrived;
    void* arguments[SIZE];
    unsigned registers;  // of a thread
};

Warpgroup warpgroups[MOST_BLOCKS][1024 / SIZE];
unsigned count = 0;  // of a block

Warpgroup& warpgroup_of(const Fiber& fiber) { return warpgroups[fiber.home->number][fiber.warp / 4]; }

struct Change {
    unsigned registers;
    bool more;
};

EMULATOR_ONE_FOR_ALL void change(void* const* arguments) {
    Warpgroup& group = warpgroup_of(running());
    for (unsigned thread = 0; thread < SIZE; ++thread) {
        const Change &own = *static_cast<Change*>(arguments[thread]), &first = *static_cast<Change*>(arguments[0]);
        if (own.registers != first.registers || own.more != first.more) {
            fail("setmaxnreg: the threads of the warpgroup ask for different numbers of registers");
        }
    }
    const Change& wanted = *static_cast<Change*>(arguments[0]);
    if (wanted.more ? wanted.registers < group.registers : wanted.registers > group.registers) {
        fail("setmaxnreg.%s: from %u to %u registers", wanted.more ? "inc" : "dec", group.registers, wanted.registers);
    }
    group.registers = wanted.registers;
}

}  // namespace

void start_warpgroups(unsigned threads) {
    count = (threads + SIZE - 1) / SIZE;
    // What a kernel gets that is compiled for so many threads and one block.
    unsigned registers = REGISTERS_OF_BLOCK / (count * SIZE) / 8 * 8;
    for (auto& of_block : warpgroups) {
        for (Warpgroup& group : of_block) {
            group = {nullptr, 0, {}, registers < MOST_REGISTERS ? registers : MOST_REGISTERS};
        }
    }
}

void require_registers_fit() {
    unsigned sum = 0;
    for (unsigned group = 0; group < count; ++group) {
        sum += warpgroups[block->number][group].registers * SIZE;
    }
    if (sum > REGISTERS_OF_BLOCK) {
        fail("setmaxnreg: the warpgroups wait for %u registers for ever, there are %u", sum, REGISTERS_OF_BLOCK);
    }
}

void act_as_warpgroup(const char* operation, void* argument, void (*act)(void* const* arguments)) {
    Fiber& fiber = running();
    Warpgroup& group = warpgroup_of(fiber);
    if (group.arrived != 0 && group.operation != operation) {
        fail("%s: other threads of this warpgroup are in %s", operation, group.operation);
    }
    group.operation = operation;
    group.arguments[fiber.number % SIZE] = argument;
    if (++group.arrived < SIZE) {
        fiber.state = State::in_warp_operation;
        run_next();
        return;
    }
    group.arrived = 0;
    act(group.arguments);
    for (unsigned step = 0; step < SIZE; ++step) {
        unsigned number = fiber.number / SIZE * SIZE + (reverse_order() ? SIZE - 1 - step : step);
        if (number != fiber.number) {
            make_ready(fiber_of_block(number));
        }
    }
}

void change_registers(unsigned registers, bool more) {
    Change own = {registers, more};
    act_as_warpgroup("setmaxnreg", &own, change);
}

}  // namespace emulator
