// A box of a tensor on its way into shared memory.
#pragma once
#include "emulator/tensor_map.h"

namespace emulator {

struct Box {
    unsigned char* to;
    TensorMap map;
    long long at[5];
    void* barrier;
    unsigned address;  // of `to` in its block's window

    unsigned bytes() const {
        unsigned elements = 1;
        for (int dimension = 0; dimension < map.rank; ++dimension) {
            elements *= map.box[dimension];
        }
        return elements * map.element_bytes;
    }
};

// Copies the box now. (memory/filling.cpp)
void fill(const Box& box);

}  // namespace emulator
