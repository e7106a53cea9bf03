// An access to memory that does not exist, or a division by zero, ends the launch with a message instead of the process. (With AddressSanitizer the
// sanitizer reports it.)
#include <csignal>
#include <pthread.h>

#include "block.h"

namespace emulator {

namespace {

pthread_t launching;
struct sigaction before[NSIG];

void on_fault(int signal, siginfo_t* information, void* context) {
    if (thread != nullptr && pthread_equal(pthread_self(), launching)) {
        if (signal == SIGFPE) {
            fail("division of an integer by zero");
        }
        fail("access to address %p, which is no memory", information->si_addr);  // leaves this stack for that of the launch
    }
    // Not a kernel's: as it was before.
    const struct sigaction& other = before[signal];
    if ((other.sa_flags & SA_SIGINFO) != 0) {
        other.sa_sigaction(signal, information, context);
    } else {
        sigaction(signal, &other, nullptr);  // back to the default, which the repeated instruction then meets
    }
}

// A stack for the handler, for threads that have none: Rust's have one.
void provide_handler_stack() {
    static thread_local unsigned char memory[64 * 1024];
    stack_t now;
    if (sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) != 0) {
        now = {};
        now.ss_sp = memory;
        now.ss_size = sizeof memory;
        sigaltstack(&now, nullptr);
    }
}

}  // namespace

void watch_for_faults() {
    launching = pthread_self();
#if !defined(EMULATOR_ADDRESS_SANITIZER) && !defined(EMULATOR_THREAD_SANITIZER)
    provide_handler_stack();
    static bool installed = false;
    if (!installed) {
        installed = true;
        struct sigaction action = {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;  // a fiber's stack may be what is exhausted; `fail` does not return
        for (int signal : {SIGSEGV, SIGBUS, SIGFPE}) {
            sigaction(signal, &action, &before[signal]);
        }
    }
#else
    (void)on_fault;
    (void)provide_handler_stack;
#endif
}

}  // namespace emulator
