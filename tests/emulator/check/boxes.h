// What the checks of Hopper's functions share: how tensors and their boxes are described, and kernels that are told their mistake.
#pragma once
#include "check.h"

struct alignas(128) TensorMap {
    uint64_t opaque[16];
};

// How a tensor of 16-bit elements is described; sizes and box innermost first.
struct Description {
    std::vector<uint64_t> sizes;
    std::vector<uint32_t> box;
    unsigned element = 1;  // 1 is f16, 2 bf16
    unsigned swizzle = 3;  // CU_TENSOR_MAP_SWIZZLE_128B
};

inline TensorMap describe(DevicePointer address, const Description& of) {
    std::vector<uint64_t> strides;
    std::vector<uint32_t> ones(of.sizes.size(), 1);
    for (size_t at = 0; at + 1 < of.sizes.size(); ++at) {
        strides.push_back((at == 0 ? 2 : strides.back()) * of.sizes[at]);
    }
    TensorMap map;
    CALL(cuTensorMapEncodeTiled(&map, of.element == 2 ? 9 : 6, static_cast<unsigned>(of.sizes.size()), reinterpret_cast<void*>(address), of.sizes.data(),
                                strides.data(), of.box.data(), ones.data(), 0, of.swizzle, 3, 0));
    return map;
}

// A tensor in which every element tells its place.
inline std::vector<uint16_t> numbered(const std::vector<uint64_t>& sizes) {
    size_t count = 1;
    for (uint64_t size : sizes) {
        count *= size;
    }
    std::vector<uint16_t> values(count);
    for (size_t at = 0; at < count; ++at) {
        values[at] = static_cast<uint16_t>(at + 1);
    }
    return values;
}

// A kernel of check/kernels/<file>, compiled with a mistake (0: none), that may have so many bytes of dynamic shared memory.
inline void* function(const char* file, const char* name, int element, int mistake, unsigned dynamic_bytes) {
    std::vector<std::string> options = {"-DELEMENT=" + std::to_string(element), "-DMISTAKE=" + std::to_string(mistake)};
    void* found = Kernels(file, options).function(name);
    CALL(cuFuncSetAttribute(found, 8, static_cast<int>(dynamic_bytes)));
    return found;
}
