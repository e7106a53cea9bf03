// Each kernel of kernels/mistakes.cu writes 0, 1, …, 127 if it is right. The argument says whether the mistake is made.
#include <algorithm>

#include "check.h"

namespace {

std::vector<float> ascending() {
    std::vector<float> values;
    for (size_t i = 0; i < COUNT; ++i) {
        values.push_back(static_cast<float>(i));
    }
    return values;
}

std::vector<std::string> options(int mistake) { return mistake ? std::vector<std::string>{"-DMISTAKE"} : std::vector<std::string>{}; }

void require_ascending(const std::vector<float>& found, int shift = 0) {
    for (int i = 0; i < static_cast<int>(COUNT); ++i) {
        int expected = std::min(std::max(i + shift, 0), static_cast<int>(COUNT) - 1);
        float value = found[static_cast<size_t>(i)];
        require(value == static_cast<float>(expected), "element %d: expected %d, found %g", i, expected, value);
    }
}

// A kernel with parameters (output, int): by how much its results are shifted.
void run(const char* name, int mistake, int shift = 0, unsigned dynamic_bytes = 0) {
    Array<float> output(COUNT);
    launch(Kernels("mistakes.cu", options(mistake)).function(name), {1, COUNT, dynamic_bytes}, output.pointer(), shift);
    require_ascending(output.values(), shift);
}

// A kernel with parameters (output, input).
void run_copy(const char* name, int mistake) {
    Array<float> output(COUNT), input(ascending());
    launch(Kernels("mistakes.cu", options(mistake)).function(name), {1, COUNT}, output.pointer(), input.pointer());
    require_ascending(output.values());
}

void missing_barrier_ahead(int mistake) { run("missing_barrier", mistake, 37); }
void missing_barrier_behind(int mistake) { run("missing_barrier", mistake, -37); }
void unwritten_shared(int mistake) { run("unwritten_shared", mistake); }
void unwritten_dynamic(int mistake) { run("unwritten_dynamic", mistake, 0, COUNT * 4); }
void unset_local(int mistake) { run("unset_local", mistake); }
void write_beyond_global(int mistake) { run("write_beyond_global", mistake); }
void read_beyond_global(int mistake) { run("read_beyond_global", mistake); }
void write_beyond_dynamic(int mistake) { run("write_beyond_dynamic", mistake, 0, COUNT * 4); }
void read_beyond_static(int mistake) { run("read_beyond_static", mistake); }
void wild_write(int mistake) { run("wild_write", mistake); }
void endless_recursion(int mistake) { run("endless_recursion", mistake); }
void division_by_zero(int mistake) { run("division_by_zero", mistake); }
void divergent_barrier(int mistake) { run("divergent_barrier", mistake); }
void deadlock(int mistake) { run("deadlock", mistake); }
void absent_lane(int mistake) { run("absent_lane", mistake); }
void misaligned_rows(int mistake) { run("misaligned_rows", mistake); }
void rows_outside_shared(int mistake) { run("rows_outside_shared", mistake); }
void late_barrier(int mistake) { run("late_barrier", mistake); }
void misaligned_access(int mistake) { run("misaligned_access", mistake); }
void missing_wait(int mistake) { run_copy("missing_wait", mistake); }
void short_wait(int mistake) { run_copy("short_wait", mistake); }

// The mistake: more threads than __launch_bounds__ promised.
void too_many_threads(int mistake) {
    Array<float> output(COUNT), input(ascending());
    launch(Kernels("mistakes.cu").function("copy"), {1, mistake ? 129u : 128u}, output.pointer(), input.pointer());
    require_ascending(output.values());
}

void too_much_dynamic(int mistake) {
    Array<float> output(COUNT), input(ascending());
    void* function = Kernels("mistakes.cu").function("copy");
    if (!mistake) {
        CALL(cuFuncSetAttribute(function, 8, 65536));
    }
    launch(function, {1, COUNT, 65536}, output.pointer(), input.pointer());
    require_ascending(output.values());
}

}  // namespace

std::vector<Case> kernel_mistakes() {
    return {{"missing_barrier_ahead", missing_barrier_ahead}, {"missing_barrier_behind", missing_barrier_behind},
            {"unwritten_shared", unwritten_shared},           {"unwritten_dynamic", unwritten_dynamic},
            {"unset_local", unset_local},                     {"write_beyond_global", write_beyond_global},
            {"read_beyond_global", read_beyond_global},       {"write_beyond_dynamic", write_beyond_dynamic},
            {"read_beyond_static", read_beyond_static},       {"divergent_barrier", divergent_barrier},
            {"deadlock", deadlock},                           {"absent_lane", absent_lane},
            {"misaligned_rows", misaligned_rows},             {"rows_outside_shared", rows_outside_shared},
            {"missing_wait", missing_wait},                   {"short_wait", short_wait},
            {"late_barrier", late_barrier},                   {"misaligned_access", misaligned_access},
            {"wild_write", wild_write},                       {"endless_recursion", endless_recursion},
            {"division_by_zero", division_by_zero},
            {"too_many_threads", too_many_threads},                           {"too_much_dynamic", too_much_dynamic}};
}
