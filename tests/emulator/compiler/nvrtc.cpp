// libnvrtc.so for the emulator: the functions of NVRTC, with g++ as the compiler. What comes out as a "cubin" is a shared object that the emulated
// driver loads (../driver). The version, 13.99, belongs to no real NVRTC, so that its results never meet real ones in a cache.
#include <cstdio>
#include <cstring>
#include <string>

#include "build.h"
#include "options.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// nvrtcResult, as in nvrtc.h.
enum Result {
    SUCCESS = 0,
    INVALID_INPUT = 3,
    INVALID_PROGRAM = 4,
    INVALID_OPTION = 5,
    COMPILATION = 6,
};

struct Program {
    std::string source, name, log, image;
    bool compiled = false;
};

}  // namespace

EXPORT int nvrtcVersion(int* major, int* minor) {
    *major = 13;
    *minor = 99;
    return SUCCESS;
}

EXPORT const char* nvrtcGetErrorString(int result) {
    switch (result) {
        case SUCCESS: return "NVRTC_SUCCESS";
        case INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
        case INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
        case INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
        case COMPILATION: return "NVRTC_ERROR_COMPILATION";
        default: return "NVRTC_ERROR unknown";
    }
}

static const int ARCHITECTURES[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

EXPORT int nvrtcGetNumSupportedArchs(int* count) {
    *count = sizeof ARCHITECTURES / sizeof *ARCHITECTURES;
    return SUCCESS;
}

EXPORT int nvrtcGetSupportedArchs(int* architectures) {
    std::memcpy(architectures, ARCHITECTURES, sizeof ARCHITECTURES);
    return SUCCESS;
}

EXPORT int nvrtcCreateProgram(Program** program, const char* source, const char* name, int headers, const char* const*, const char* const*) {
    if (source == nullptr || headers != 0) {
        std::fprintf(stderr, "emulated NVRTC: headers given as strings are not emulated; splice them into the source\n");
        return INVALID_INPUT;
    }
    *program = new Program;
    (*program)->source = source;
    (*program)->name = name == nullptr ? "default_program" : name;
    return SUCCESS;
}

EXPORT int nvrtcDestroyProgram(Program** program) {
    delete *program;
    *program = nullptr;
    return SUCCESS;
}

EXPORT int nvrtcCompileProgram(Program* program, int count, const char* const* given) {
    Options options;
    std::string refused;
    if (!parse_options(count, given, options, refused)) {
        program->log = "error: unrecognized option " + refused + " found\n";
        return INVALID_OPTION;
    }
    Built built = build(program->source, program->name, options);
    program->log = built.log;
    program->image = options.real ? built.image : "";
    program->compiled = built.succeeded;
    return built.succeeded ? SUCCESS : COMPILATION;
}

EXPORT int nvrtcGetProgramLogSize(Program* program, size_t* bytes) {
    *bytes = program->log.size() + 1;
    return SUCCESS;
}

EXPORT int nvrtcGetProgramLog(Program* program, char* log) {
    std::memcpy(log, program->log.c_str(), program->log.size() + 1);
    return SUCCESS;
}

EXPORT int nvrtcGetCUBINSize(Program* program, size_t* bytes) {
    *bytes = program->image.size();
    return program->compiled ? SUCCESS : INVALID_PROGRAM;
}

EXPORT int nvrtcGetCUBIN(Program* program, char* image) {
    std::memcpy(image, program->image.data(), program->image.size());
    return program->compiled ? SUCCESS : INVALID_PROGRAM;
}

// There is no PTX: this text is for those who look at it, the emulated driver refuses it.
static const char NO_PTX[] = "// The emulator has no PTX: compile for sm_XX and load the cubin.\n";

EXPORT int nvrtcGetPTXSize(Program* program, size_t* bytes) {
    *bytes = sizeof NO_PTX;
    return program->compiled ? SUCCESS : INVALID_PROGRAM;
}

EXPORT int nvrtcGetPTX(Program* program, char* text) {
    std::memcpy(text, NO_PTX, sizeof NO_PTX);
    return program->compiled ? SUCCESS : INVALID_PROGRAM;
}
