// `check <case> [argument]` runs one case on the emulated device; `check` lists them.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "check.h"

void require(bool condition, const char* format, ...) {
    if (!condition) {
        va_list arguments;
        va_start(arguments, format);
        std::vfprintf(stderr, format, arguments);
        va_end(arguments);
        std::fprintf(stderr, "\n");
        std::exit(WRONG);
    }
}

void succeed(int result, const char* call) {
    if (result != 0) {
        const char* name = "?";
        cuGetErrorName(result, &name);
        std::fprintf(stderr, "%s: %s\n", call, name);
        std::exit(REFUSED);
    }
}

uint16_t encode(int element, int value) {
    float wide = static_cast<float>(value);
    uint32_t bits = *reinterpret_cast<uint32_t*>(&wide);
    _Float16 half = static_cast<_Float16>(value);
    return element == 2 ? static_cast<uint16_t>(bits >> 16) : *reinterpret_cast<uint16_t*>(&half);
}

Kernels::Kernels(const std::string& file, const std::vector<std::string>& options) {
    std::ifstream stream(std::string(CHECK_FOLDER) + "/kernels/" + file);
    std::stringstream source;
    source << stream.rdbuf();
    int major = 0, minor = 0;
    CALL(cuDeviceGetAttribute(&major, 75, 0));
    CALL(cuDeviceGetAttribute(&minor, 76, 0));
    // With what is of this architecture alone, where there is such (wgmma, copies of boxes).
    std::string architecture = std::to_string(major) + std::to_string(minor) + (major >= 9 ? "a" : "");
    std::vector<std::string> all = {"-arch=sm_" + architecture, "-std=c++17", std::string("-I") + KERNELS_FOLDER};
    all.insert(all.end(), options.begin(), options.end());
    std::vector<const char*> words;
    for (const std::string& option : all) {
        words.push_back(option.c_str());
    }
    void* program = nullptr;
    size_t bytes = 0;
    CALL(nvrtcCreateProgram(&program, source.str().c_str(), file.c_str(), 0, nullptr, nullptr));
    if (nvrtcCompileProgram(program, static_cast<int>(words.size()), words.data()) != 0) {
        nvrtcGetProgramLogSize(program, &bytes);
        std::string log(bytes, ' ');
        nvrtcGetProgramLog(program, &log[0]);
        std::fprintf(stderr, "%s", log.c_str());
        std::exit(REFUSED);
    }
    CALL(nvrtcGetCUBINSize(program, &bytes));
    std::vector<char> image(bytes);
    CALL(nvrtcGetCUBIN(program, image.data()));
    CALL(nvrtcDestroyProgram(&program));
    CALL(cuModuleLoadData(&module_, image.data()));
}

void* Kernels::function(const char* name) {
    void* function = nullptr;
    CALL(cuModuleGetFunction(&function, module_, name));
    return function;
}

int main(int count, char** arguments) {
    void* context = nullptr;
    CALL(cuInit(0));
    CALL(cuDevicePrimaryCtxRetain(&context, 0));
    CALL(cuCtxSetCurrent(context));
    for (auto group : {scalar_cases, tensor_core_cases, hopper_cases, cluster_cases, warp_cases, driver_cases, kernel_mistakes, hopper_mistakes,
                       cluster_mistakes, host_mistakes}) {
        for (const Case& each : group()) {
            if (count < 2) {
                std::printf("%s\n", each.name);
            } else if (std::strcmp(each.name, arguments[1]) == 0) {
                each.run(count > 2 ? std::atoi(arguments[2]) : 0);
                return 0;
            }
        }
    }
    return count < 2 ? 0 : 2;
}
