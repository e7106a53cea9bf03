// From CUDA source to a shared object, by g++.
#pragma once
#include <string>

#include "options.h"

struct Built {
    bool succeeded;
    std::string image;  // the shared object's bytes
    std::string log;    // what g++ said
};

// Compiles `source` under the name `name`, or takes the result of the same source, name and options from the folder `kernels` beside this library's.
Built build(const std::string& source, const std::string& name, const Options& options);
