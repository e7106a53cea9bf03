// Calls that fail by plan: EMULATOR_FAULT=cuMemcpyHtoDAsync_v2:3:700 is the third call of that function, with CUDA_ERROR_ILLEGAL_ADDRESS. After this
// error, and after 719 (LAUNCH_FAILED), the device is lost: every call gives it. EMULATOR_CALLS names a file for the number of calls of each function.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "driver.h"

namespace {

struct Plan {
    std::string function;  // empty: none
    unsigned long call = 0;
    int result = 0;
};

Plan read_plan() {
    Plan plan;
    if (const char* text = std::getenv("EMULATOR_FAULT")) {
        char function[64];
        if (std::sscanf(text, "%63[^:]:%lu:%d", function, &plan.call, &plan.result) != 3) {
            std::fprintf(stderr, "emulated driver: EMULATOR_FAULT=%s, expected FUNCTION:CALL:RESULT\n", text);
            std::abort();
        }
        plan.function = function;
    }
    return plan;
}

struct Calls {
    std::map<std::string, unsigned long> counts;
    ~Calls() {
        if (const char* path = std::getenv("EMULATOR_CALLS")) {
            if (FILE* file = std::fopen(path, "w")) {
                for (const auto& [function, count] : counts) {
                    std::fprintf(file, "%s %lu\n", function.c_str(), count);
                }
                std::fclose(file);
            }
        }
    }
};

// Written at the end of the process, when other threads may still be in a call.
Calls& calls() {
    static Calls only;
    return only;
}

}  // namespace

int planned_fault(const char* function) {
    static const Plan plan = read_plan();
    static int lost = SUCCESS;
    ENTER;
    unsigned long call = ++calls().counts[function];
    if (lost == SUCCESS && plan.call == call && plan.function == function) {
        if (plan.result == ILLEGAL_ADDRESS || plan.result == LAUNCH_FAILED) {
            lost = plan.result;
        }
        return plan.result;
    }
    return lost;
}
