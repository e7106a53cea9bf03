// A launch: block after block, with shared memory that is exact in size and filled with 0xff.
#include <cstdio>
#include <cstdlib>

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

bool run_one(uint3 index, DynamicMemory& dynamic) {
    block.index = index;
    fill(block.dynamic, block.dynamic + block.dynamic_bytes);
    fill(block.static_begin, block.static_end);
    run_block(entry->name, run_thread);
    thread = nullptr;
    if (!has_failed() && !dynamic.guards_are_whole()) {
        std::fprintf(stderr, "emulator: kernel %s, block (%u, %u, %u): wrote outside its %zu bytes of dynamic shared memory\n", entry->name, index.x,
                     index.y, index.z, block.dynamic_bytes);
        return false;
    }
    return !has_failed();
}

}  // namespace

void require_shared(const void* pointer, unsigned bytes, unsigned alignment, const char* operation) {
    const unsigned char* begin = static_cast<const unsigned char*>(pointer);
    bool dynamic = begin >= block.dynamic && begin + bytes <= block.dynamic + block.dynamic_bytes;
    bool fixed = begin >= block.static_begin && begin + bytes <= block.static_end;
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
    DynamicMemory dynamic(dynamic_bytes);
    block = {{0, 0, 0}, size, grid, dynamic.begin(), dynamic_bytes, library.shared_begin, library.shared_end};
    forget_failure();
    watch_for_faults();
    size_t blocks = static_cast<size_t>(grid.x) * grid.y * grid.z;
    for (size_t step = 0; step < blocks; ++step) {
        size_t at = reverse_order() ? blocks - 1 - step : step;
        uint3 index = {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
                       static_cast<unsigned>(at / grid.x / grid.y)};
        if (!run_one(index, dynamic)) {
            return false;
        }
    }
    return true;
}

}  // namespace emulator
