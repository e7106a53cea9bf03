// The options of nvrtcCompileProgram.
#pragma once
#include <string>
#include <vector>

struct Options {
    unsigned architecture = 750;     // __CUDA_ARCH__; NVRTC's default is sm_75
    bool specific = false;           // sm_90a: features of this architecture alone
    bool real = true;                // sm_XX, not compute_XX: a cubin comes out
    std::vector<std::string> flags;  // -D, -U and -I, for g++
};

// Reads the options; the first one that NVRTC does not know, or that makes no sense, comes back in `refused`.
bool parse_options(int count, const char* const* given, Options& options, std::string& refused);
