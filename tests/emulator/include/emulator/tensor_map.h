// What the emulated cuTensorMapEncodeTiled writes into the 128 bytes of a CUtensorMap, and the emulated copy engine reads. The real content is secret.
#pragma once

namespace emulator {

constexpr unsigned TENSOR_MAP_MARK = 0x70616d54;  // nothing else looks like a map

struct TensorMap {
    unsigned long long address;
    unsigned mark;
    unsigned short rank, element_bytes;
    unsigned long long strides[4];   // bytes from one index to the next, of all dimensions but the innermost
    unsigned last[5];                // sizes - 1, innermost first
    unsigned short box[5];
    unsigned short swizzled;         // whether the 16-byte chunks of a row are exchanged: CU_TENSOR_MAP_SWIZZLE_128B
};
static_assert(sizeof(TensorMap) <= 128, "a CUtensorMap has 128 bytes");

}  // namespace emulator
