// What the 16 bits of a tensor core's factor stand for.
#pragma once

#include <cstring>

#include "emulator/matrix.h"

namespace emulator {

// The value of the low 16 bits.
EMULATOR_ONE_FOR_ALL static float widen(unsigned bits, Factor factor) {
    unsigned short narrow = static_cast<unsigned short>(bits);
    if (factor == Factor::f16) {
        _Float16 half;
        std::memcpy(&half, &narrow, sizeof half);
        return static_cast<float>(half);
    }
    unsigned wide = static_cast<unsigned>(narrow) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

}  // namespace emulator
