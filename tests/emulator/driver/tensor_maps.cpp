// cuTensorMapEncodeTiled, with the driver's demands on its arguments (CUDA driver API, "Tensor Map Object Management").
#include <cstring>

#include "emulator/tensor_map.h"

#include "driver.h"

namespace {

constexpr unsigned F16 = 6, F32 = 7, BF16 = 9;          // CUtensorMapDataType
constexpr unsigned SWIZZLE_NONE = 0, SWIZZLE_128B = 3;  // CUtensorMapSwizzle
constexpr unsigned MOST_RANK = 5, MOST_BOX = 256, MOST_ELEMENT_STRIDE = 8;
constexpr uint64_t MOST_SIZE = uint64_t(1) << 32, MOST_STRIDE = uint64_t(1) << 40;

struct Given {
    unsigned type, rank;
    DevicePointer address;
    const uint64_t *sizes, *strides;
    const uint32_t *box, *element_strides;
    unsigned interleave, swizzle;
};

unsigned bytes_of(unsigned type) { return type == F32 ? 4 : type == F16 || type == BF16 ? 2 : 0; }

Result check_tensor(const Given& given) {
    if (bytes_of(given.type) == 0 || given.interleave != 0 || (given.swizzle != SWIZZLE_NONE && given.swizzle != SWIZZLE_128B)) {
        return refuse(NOT_SUPPORTED, "a tensor map of data type %u, interleave %u, swizzle %u: emulated are f16, bf16 and f32, no interleave, the 128-byte "
                      "swizzle or none", given.type, given.interleave, given.swizzle);
    }
    if (given.rank < 1 || given.rank > MOST_RANK) {
        return refuse(INVALID_VALUE, "a tensor map of %u dimensions: there are 1 to %u", given.rank, MOST_RANK);
    }
    if (given.address == 0 || given.address % 16 != 0) {
        return refuse(INVALID_VALUE, "a tensor map at address 0x%llx: it must be a multiple of 16", given.address);
    }
    for (unsigned at = 0; at < given.rank; ++at) {
        if (given.sizes[at] == 0 || given.sizes[at] > MOST_SIZE) {
            return refuse(INVALID_VALUE, "a tensor map of size %llu in dimension %u", static_cast<unsigned long long>(given.sizes[at]), at);
        }
    }
    for (unsigned at = 0; at + 1 < given.rank; ++at) {
        uint64_t below = at == 0 ? given.sizes[0] * bytes_of(given.type) : given.sizes[at] * given.strides[at - 1];
        if (given.strides[at] % 16 != 0 || given.strides[at] >= MOST_STRIDE || given.strides[at] < below) {
            return refuse(INVALID_VALUE, "a tensor map with stride %llu in dimension %u: it must be a multiple of 16 bytes and no less than %llu",
                          static_cast<unsigned long long>(given.strides[at]), at + 1, static_cast<unsigned long long>(below));
        }
    }
    return SUCCESS;
}

Result check_box(const Given& given) {
    for (unsigned at = 0; at < given.rank; ++at) {
        if (given.box[at] == 0 || given.box[at] > MOST_BOX) {
            return refuse(INVALID_VALUE, "a tensor map with a box of size %u in dimension %u: there are 1 to %u", given.box[at], at, MOST_BOX);
        }
        if (given.element_strides[at] == 0 || given.element_strides[at] > MOST_ELEMENT_STRIDE) {
            return refuse(INVALID_VALUE, "a tensor map with element stride %u in dimension %u", given.element_strides[at], at);
        }
        if (given.element_strides[at] != 1) {
            return refuse(NOT_SUPPORTED, "a tensor map with element strides is not emulated");
        }
    }
    unsigned inner = given.box[0] * bytes_of(given.type);
    if (inner % 16 != 0 || (given.swizzle == SWIZZLE_128B && inner > 128)) {
        return refuse(INVALID_VALUE, "a tensor map whose boxes have rows of %u bytes: a multiple of 16, with the 128-byte swizzle at most 128", inner);
    }
    if (given.swizzle == SWIZZLE_128B && inner != 128) {
        return refuse(NOT_SUPPORTED, "swizzled rows of %u bytes are not emulated", inner);
    }
    return SUCCESS;
}

}  // namespace

EXPORT int cuTensorMapEncodeTiled(void* map, unsigned type, unsigned rank, void* address, const uint64_t* sizes, const uint64_t* strides,
                                  const uint32_t* box, const uint32_t* element_strides, unsigned interleave, unsigned swizzle, unsigned, unsigned fill) {
    MAY_FAIL;
    ENTER;
    if (map == nullptr || reinterpret_cast<size_t>(map) % 64 != 0) {
        return refuse(INVALID_VALUE, "a tensor map must lie at a multiple of 64 bytes");
    }
    Given given = {type, rank, reinterpret_cast<DevicePointer>(address), sizes, strides, box, element_strides, interleave, swizzle};
    if (Result result = check_tensor(given)) {
        return result;
    }
    if (Result result = check_box(given)) {
        return result;
    }
    if (fill != 0) {
        return refuse(NOT_SUPPORTED, "filling with NaN is not emulated");
    }
    emulator::TensorMap made = {};
    made.address = given.address;
    made.mark = emulator::TENSOR_MAP_MARK;
    made.rank = static_cast<unsigned short>(rank);
    made.element_bytes = static_cast<unsigned short>(bytes_of(type));
    made.swizzled = swizzle == SWIZZLE_128B;
    for (unsigned at = 0; at < rank; ++at) {
        made.last[at] = static_cast<unsigned>(sizes[at] - 1);
        made.box[at] = static_cast<unsigned short>(box[at]);
        if (at + 1 < rank) {
            made.strides[at] = strides[at];
        }
    }
    std::memset(map, 0, 128);
    std::memcpy(map, &made, sizeof made);
    return SUCCESS;
}
