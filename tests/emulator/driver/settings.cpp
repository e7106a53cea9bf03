// The environment, messages, error names.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "driver.h"

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

Settings read_environment() {
    Settings read;
    std::string capability = variable("EMULATOR_CAPABILITY");
    if (!capability.empty()) {
        int major = 0, minor = 0;
        if (std::sscanf(capability.c_str(), "%d.%d", &major, &minor) != 2) {
            std::fprintf(stderr, "emulated driver: EMULATOR_CAPABILITY=%s, expected e.g. 8.6\n", capability.c_str());
            std::abort();
        }
        read.capability = major * 10 + minor;
    }
    if (!variable("EMULATOR_DEVICES").empty()) {
        read.devices = std::atoi(variable("EMULATOR_DEVICES").c_str());
    }
    if (!variable("EMULATOR_DRIVER_VERSION").empty()) {
        read.version = std::atoi(variable("EMULATOR_DRIVER_VERSION").c_str());
    }
    if (!variable("EMULATOR_MEMORY").empty()) {
        read.memory = std::strtoull(variable("EMULATOR_MEMORY").c_str(), nullptr, 10);
    }
    if (!variable("EMULATOR_PINNED").empty()) {
        read.pinned = std::strtoull(variable("EMULATOR_PINNED").c_str(), nullptr, 10);
    }
    std::string streams = variable("EMULATOR_STREAMS");
    if (!streams.empty() && streams != "lazy" && streams != "eager") {
        std::fprintf(stderr, "emulated driver: EMULATOR_STREAMS=%s, expected lazy or eager\n", streams.c_str());
        std::abort();
    }
    read.eager = streams == "eager";
    read.trace = variable("EMULATOR_TRACE") == "1";
    read.idle = variable("EMULATOR_IDLE");
    return read;
}

const std::map<int, const char*>& names() {
    static const std::map<int, const char*> known = {
        {SUCCESS, "CUDA_SUCCESS"},
        {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
        {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
        {NO_DEVICE, "CUDA_ERROR_NO_DEVICE"},
        {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
        {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},
        {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
        {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
        {INVALID_PTX, "CUDA_ERROR_INVALID_PTX"},
        {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
        {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
        {NOT_READY, "CUDA_ERROR_NOT_READY"},
        {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
        {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
        {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED"},
        {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
        {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
        {CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED"},
        {CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED"},
        {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION"},
    };
    return known;
}

}  // namespace

const Settings& settings() {
    static const Settings read = read_environment();
    return read;
}

std::recursive_mutex& mutex() {
    static std::recursive_mutex* only = new std::recursive_mutex;
    return *only;
}

Result refuse(Result result, const char* format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char* name = nullptr;
    auto found = names().find(result);
    name = found == names().end() ? "?" : found->second;
    std::fprintf(stderr, "emulated driver: %s (%s)\n", message, name);
    return result;
}

EXPORT int cuGetErrorName(int result, const char** name) {
    auto found = names().find(result);
    *name = found == names().end() ? nullptr : found->second;
    return found == names().end() ? INVALID_VALUE : SUCCESS;
}

EXPORT int cuGetErrorString(int result, const char** text) { return cuGetErrorName(result, text); }
