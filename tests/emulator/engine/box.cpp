// cp.async.bulk.tensor: boxes that have been started and have not landed.
#include "box.h"

#include <cstring>
#include <deque>

#include "block.h"
#include "emulator/hopper.h"

namespace emulator {

namespace {

std::deque<Box> on_their_way;

TensorMap read(const void* map, int rank) {
    TensorMap read;
    std::memcpy(&read, map, sizeof read);
    if (reinterpret_cast<size_t>(map) % 64 != 0) {
        fail("cp.async.bulk.tensor: the tensor map is not aligned to 64 bytes");
    }
    if (read.mark != TENSOR_MAP_MARK) {
        fail("cp.async.bulk.tensor: this is no tensor map of cuTensorMapEncodeTiled");
    }
    if (read.rank != rank) {
        fail("cp.async.bulk.tensor.%dd: the tensor map has %d dimensions", rank, read.rank);
    }
    return read;
}

}  // namespace

void start_boxes() { on_their_way.clear(); }

unsigned boxes_on_their_way() {
    unsigned count = 0;
    for (const Box& box : on_their_way) {
        count += box.to >= block->dynamic && box.to < block->dynamic + block->dynamic_bytes;
    }
    return count;
}

bool land_a_box() {
    if (on_their_way.empty()) {
        return false;
    }
    Box box = on_their_way.front();
    on_their_way.pop_front();
    fill(box);
    box_has_landed(box.barrier, box.bytes());
    return true;
}

void copy_box(void* shared, const void* map, void* barrier, int rank, const int* at) {
    copy_box_to(1u << block->number, shared, map, barrier, rank, at);
}

void copy_box_to(unsigned blocks, void* shared, const void* map, void* barrier, int rank, const int* at) {
    const char* operation = "cp.async.bulk.tensor";
    Box box = {nullptr, read(map, rank), {}, nullptr, shared_address(shared)};
    for (int dimension = 0; dimension < rank; ++dimension) {
        box.at[dimension] = at[dimension];
    }
    require_shared(shared, box.bytes(), box.map.swizzled ? 1024 : 128, operation);
    require_shared(barrier, 8, 8, operation);
    for (unsigned number = 0; blocks >> number != 0; ++number) {
        if ((blocks >> number & 1) == 0) {
            continue;
        }
        box.to = static_cast<unsigned char*>(in_block(number, shared, operation));
        box.barrier = in_block(number, barrier, operation);
        require_published(box.barrier);
        std::memset(box.to, 0xff, box.bytes());
        on_their_way.push_back(box);
        if (reverse_order()) {
            land_a_box();
        }
    }
}

void prefetch(const void* map) { (void)read(map, static_cast<const TensorMap*>(map)->rank); }

}  // namespace emulator
