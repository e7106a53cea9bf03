#include "fiber.h"

#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <sys/mman.h>

#ifdef EMULATOR_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef EMULATOR_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

#if !defined(__x86_64__) || !defined(__linux__)
#error "the emulator switches stacks in x86-64 assembly for Linux; another processor needs its own emulator_switch"
#endif

// emulator_switch(save, load): keeps the registers that a call preserves on this stack, its pointer in *save, and goes on where `load` was kept.
extern "C" void emulator_switch(void** save, void* load);
asm(R"(
.text
.hidden emulator_switch
.globl emulator_switch
.type emulator_switch, @function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_switch, . - emulator_switch
)");

namespace emulator {

Thread* thread = nullptr;

namespace {

constexpr size_t STACK = 256 * 1024, GUARD = 4096;
constexpr unsigned MOST_THREADS = 1024;  // of a block

// The caller of `launch`, while fibers run.
Fiber caller;

unsigned char* map_stack() {
    void* memory = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, GUARD, PROT_NONE) != 0) {
        std::perror("emulator: no memory for the stack of a CUDA thread");
        std::abort();
    }
    return static_cast<unsigned char*>(memory) + GUARD;
}

[[maybe_unused]] size_t caller_bytes = 0;

// AddressSanitizer wants to know the stack that it comes back to.
void remember_caller() {
#ifdef EMULATOR_ADDRESS_SANITIZER
    pthread_attr_t attributes;
    void* bottom = nullptr;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &bottom, &caller_bytes);
    pthread_attr_destroy(&attributes);
    caller.stack = static_cast<unsigned char*>(bottom);
#endif
#ifdef EMULATOR_THREAD_SANITIZER
    caller.history = __tsan_get_current_fiber();
#endif
}

void (*fiber_body)() = nullptr;

// Where every fiber starts.
void start() {
#ifdef EMULATOR_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    fiber_body();
}

}  // namespace

Fiber* fibers(unsigned count) {
    static Fiber* all = new Fiber[MOST_BLOCKS * MOST_THREADS]();
    for (unsigned number = 0; number < count; ++number) {
        if (all[number].stack == nullptr) {
            all[number].stack = map_stack();
#ifdef EMULATOR_THREAD_SANITIZER
            all[number].history = __tsan_create_fiber(0);
#endif
        }
    }
    remember_caller();
    return all;
}

void prepare(Fiber& fiber, void (*body)()) {
#ifdef EMULATOR_ADDRESS_SANITIZER
    __asan_unpoison_memory_region(fiber.stack, STACK);
#endif
    fiber.fake_stack = nullptr;
    fiber_body = body;
    void** top = reinterpret_cast<void**>(fiber.stack + STACK - 64);
    *--top = nullptr;  // where `start` would return to
    *--top = reinterpret_cast<void*>(start);
    for (int preserved = 0; preserved < 6; ++preserved) {
        *--top = nullptr;
    }
    fiber.stack_pointer = top;
}

void switch_to(Fiber* to, bool last) {
    Fiber& from = thread == nullptr ? caller : running();
    Fiber& next = to == nullptr ? caller : *to;
    if (to != nullptr) {
        to->state = State::running;
        block = to->home;
    }
    thread = to;
    if (&from == &next) {
        return;
    }
#ifdef EMULATOR_ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack, next.stack, to == nullptr ? caller_bytes : STACK);
#else
    (void)last;
#endif
#ifdef EMULATOR_THREAD_SANITIZER
    __tsan_switch_to_fiber(next.history, __tsan_switch_to_fiber_no_sync);
#endif
    emulator_switch(&from.stack_pointer, next.stack_pointer);
#ifdef EMULATOR_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void release(void* address) {
#ifdef EMULATOR_THREAD_SANITIZER
    __tsan_release(address);
#else
    (void)address;
#endif
}

void acquire(void* address) {
#ifdef EMULATOR_THREAD_SANITIZER
    __tsan_acquire(address);
#else
    (void)address;
#endif
}

}  // namespace emulator
