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

unsigned boxes_on_their_way() { return static_cast<unsigned>(on_their_way.size()); }

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
    Box box = {static_cast<unsigned char*>(shared), read(map, rank), {}, barrier};
    for (int dimension = 0; dimension < rank; ++dimension) {
        box.at[dimension] = at[dimension];
    }
    require_shared(shared, box.bytes(), box.map.swizzled ? 1024 : 128, "cp.async.bulk.tensor");
    require_shared(barrier, 8, 8, "cp.async.bulk.tensor");
    require_published(barrier);
    std::memset(shared, 0xff, box.bytes());
    on_their_way.push_back(box);
    if (reverse_order()) {
        land_a_box();
    }
}

void prefetch(const void* map) { (void)read(map, static_cast<const TensorMap*>(map)->rank); }

}  // namespace emulator
