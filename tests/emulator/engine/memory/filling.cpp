// cp.async.bulk.tensor: where the elements of a box come from and where they go.
#include "block.h"
#include "box.h"

namespace emulator {

namespace {

// The place of byte `at` of a box whose rows have 128 bytes: of the eight 16-byte chunks of a row, which chunk stands where depends on the row's place
// in a pattern of eight rows. PTX ISA, "Swizzling modes", 128-byte: chunk 0 of row 3 stands third, chunk 1 second, chunk 2 first, chunk 3 zeroth, …
unsigned swizzled(unsigned shared_at) {
    unsigned row = shared_at / 128 % 8, chunk = shared_at / 16 % 8;
    return shared_at - chunk * 16 + (chunk ^ row) * 16;
}

// Where an element of the box comes from; null outside the tensor.
EMULATOR_ONE_FOR_ALL const unsigned char* source(const Box& box, unsigned element) {
    unsigned long long address = box.map.address;
    for (int dimension = 0; dimension < box.map.rank; ++dimension) {
        long long at = box.at[dimension] + element % box.map.box[dimension];
        if (at < 0 || at > static_cast<long long>(box.map.last[dimension])) {
            return nullptr;
        }
        address += static_cast<unsigned long long>(at) * (dimension == 0 ? box.map.element_bytes : box.map.strides[dimension - 1]);
        element /= box.map.box[dimension];
    }
    return reinterpret_cast<const unsigned char*>(address);
}

}  // namespace

EMULATOR_ONE_FOR_ALL void fill(const Box& box) {
    unsigned size = box.map.element_bytes, start = box.address;
    for (unsigned element = 0; element * size < box.bytes(); ++element) {
        unsigned at = start + element * size, place = box.map.swizzled ? swizzled(at) : at;
        const unsigned char* from = source(box, element);
        for (unsigned byte = 0; byte < size; ++byte) {
            box.to[place - start + byte] = from == nullptr ? 0 : from[byte];
        }
    }
}

}  // namespace emulator
