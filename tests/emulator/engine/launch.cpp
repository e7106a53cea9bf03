// A launch: cluster after cluster, with shared memory that is exact in size and filled with 0xff.
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>

#include "block.h"

#ifdef EMULATOR_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace emulator {

namespace {

constexpr size_t ALIGNMENT = 1024, GUARD = 1024;
constexpr unsigned char GUARD_BYTE = 0xff;  // NaN, as unwritten memory

const Entry* entry = nullptr;
void** kernel_arguments = nullptr;

void run_thread() { entry->call(kernel_arguments); }

// Dynamic shared memory between two guards.
class DynamicMemory {
public:
    explicit DynamicMemory(size_t bytes) : bytes_(bytes), total_((GUARD + bytes + GUARD + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT) {
        memory_ = static_cast<unsigned char*>(std::aligned_alloc(ALIGNMENT, total_));
        for (size_t at = 0; at < total_; ++at) {
            memory_[at] = GUARD_BYTE;
        }
#ifdef EMULATOR_ADDRESS_SANITIZER
        __asan_poison_memory_region(memory_, GUARD);
        __asan_poison_memory_region(begin() + bytes_, total_ - GUARD - bytes_);
#endif
    }

    ~DynamicMemory() {
#ifdef EMULATOR_ADDRESS_SANITIZER
        __asan_unpoison_memory_region(memory_, total_);
#endif
        std::free(memory_);
    }

    DynamicMemory(const DynamicMemory&) = delete;
    DynamicMemory& operator=(const DynamicMemory&) = delete;

    unsigned char* begin() { return memory_ + GUARD; }

    // Whether the bytes before and after are what they were. (With AddressSanitizer a write there has been reported already.)
    bool guards_are_whole() {
        for (size_t at = 0; at < total_; ++at) {
            bool inside = at >= GUARD && at < GUARD + bytes_;
            if (!inside && memory_[at] != GUARD_BYTE) {
                return false;
            }
        }
        return true;
    }

private:
    size_t bytes_, total_;
    unsigned char* memory_;
};

// Not memset: with AddressSanitizer it would object to the gaps between variables.
void fill(unsigned char* begin, unsigned char* end) {
    for (volatile unsigned char* at = begin; at < end; ++at) {
        *at = 0xff;
    }
}

Block blocks[MOST_BLOCKS];

bool is_untouched(const unsigned char* begin, const unsigned char* end) {
    for (; begin < end; ++begin) {
        if (*begin != 0xff) {
            return false;
        }
    }
    return true;
}

bool refuse(const Block& of, const char* what) {
    std::fprintf(stderr, "emulator: kernel %s, block (%u, %u, %u): %s\n", entry->name, of.index.x, of.index.y, of.index.z, what);
    return false;
}

// Runs the cluster whose first block is the grid's block `first`.
bool run_one(size_t first, std::deque<DynamicMemory>& dynamic) {
    const unsigned count = entry->cluster;
    for (unsigned number = 0; number < count; ++number) {
        Block& of = blocks[number];
        size_t at = first + number;
        of.index = {static_cast<unsigned>(at % of.grid.x), static_cast<unsigned>(at / of.grid.x % of.grid.y),
                    static_cast<unsigned>(at / of.grid.x / of.grid.y)};
        fill(of.dynamic, of.dynamic + of.dynamic_bytes);
    }
    fill(blocks[0].static_begin, blocks[0].static_end);
    run_cluster(entry->name, blocks, count, run_thread);
    thread = nullptr;
    if (has_failed()) {
        return false;
    }
    for (unsigned number = 0; number < count; ++number) {
        if (!dynamic[number].guards_are_whole()) {
            return refuse(blocks[number], ("wrote outside its " + std::to_string(blocks[number].dynamic_bytes) + " bytes of dynamic shared memory").c_str());
        }
    }
    if (count > 1 && !is_untouched(blocks[0].static_begin, blocks[0].static_end)) {
        return refuse(blocks[0], "a cluster's blocks have static shared memory, of which the emulator has one copy: use dynamic shared memory");
    }
    return true;
}

}  // namespace

void require_shared(const void* pointer, unsigned bytes, unsigned alignment, const char* operation) {
    const unsigned char* begin = static_cast<const unsigned char*>(pointer);
    bool dynamic = begin >= block->dynamic && begin + bytes <= block->dynamic + block->dynamic_bytes;
    bool fixed = begin >= block->static_begin && begin + bytes <= block->static_end;
    if (!dynamic && !fixed) {
        fail("%s: %u bytes at an address that is not shared memory of this block", operation, bytes);
    }
    if (reinterpret_cast<size_t>(pointer) % alignment != 0) {
        fail("%s: the shared address is not aligned to %u bytes", operation, alignment);
    }
}

bool launch(const Library& library, const Entry& which, dim3 grid, dim3 size, size_t dynamic_bytes, void** arguments) {
    entry = &which;
    kernel_arguments = arguments;
    std::deque<DynamicMemory> dynamic;
    for (unsigned number = 0; number < which.cluster; ++number) {
        dynamic.emplace_back(dynamic_bytes);
        blocks[number] = {{0, 0, 0}, size, grid, number, dynamic.back().begin(), dynamic_bytes, library.shared_begin, library.shared_end};
    }
    forget_failure();
    watch_for_faults();
    size_t clusters = static_cast<size_t>(grid.x) * grid.y * grid.z / which.cluster;
    for (size_t step = 0; step < clusters; ++step) {
        if (!run_one((reverse_order() ? clusters - 1 - step : step) * which.cluster, dynamic)) {
            return false;
        }
    }
    return true;
}

}  // namespace emulator
