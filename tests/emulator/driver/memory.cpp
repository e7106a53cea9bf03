// Device and pinned memory. Device memory is 0xff when allocated and 0xdd when freed, with guards of 0xff on both sides: what is read beyond an end
// is NaN, too.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "driver.h"

#ifdef EMULATOR_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace {

constexpr size_t GUARD = 256;  // also the alignment that CUDA promises
constexpr unsigned char GUARD_BYTE = 0xff, FRESH = 0xff, FREED = 0xdd;
constexpr size_t QUARANTINE = size_t(32) << 20;
// Beyond this a stream's outstanding frees are carried out before more is allocated, so that lazy streams do not fill the host's memory.
constexpr size_t COMFORTABLE = size_t(1) << 30;

struct Allocation {
    unsigned char* memory;  // the guard before the bytes
    size_t bytes, total;
};

std::map<DevicePointer, Allocation> live, freed;
std::deque<DevicePointer> freed_order;
std::map<DevicePointer, size_t> pinned;
size_t used = 0, freed_bytes = 0, pinned_bytes = 0, most_pinned = 0;
unsigned long allocated = 0;

// The entry of `map` whose bytes hold `pointer`.
template <class Map>
auto find_in(Map& map, DevicePointer pointer) {
    auto after = map.upper_bound(pointer);
    return after == map.begin() ? map.end() : std::prev(after);
}

Allocation* find(std::map<DevicePointer, Allocation>& map, DevicePointer pointer) {
    auto found = find_in(map, pointer);
    return found != map.end() && pointer < found->first + found->second.bytes ? &found->second : nullptr;
}

bool guards_are_whole(const Allocation& allocation) {
#ifdef EMULATOR_ADDRESS_SANITIZER
    (void)allocation;
    return true;  // unreadable: the sanitizer reports the access itself
#else
    for (size_t at = 0; at < allocation.total; ++at) {
        if (at == GUARD) {
            at += allocation.bytes;
        }
        if (at < allocation.total && allocation.memory[at] != GUARD_BYTE) {
            return false;
        }
    }
    return true;
#endif
}

Result allocate(DevicePointer* pointer, size_t bytes) {
    if (used + bytes > settings().memory) {
        return OUT_OF_MEMORY;
    }
    size_t total = (GUARD + bytes + GUARD + GUARD - 1) / GUARD * GUARD;
    auto* memory = static_cast<unsigned char*>(std::aligned_alloc(GUARD, total));
    if (memory == nullptr) {
        return OUT_OF_MEMORY;
    }
    std::memset(memory, GUARD_BYTE, total);
    // Where no kernel does anything the program shall not stumble over what none has written.
    std::memset(memory + GUARD, settings().idle == "*" ? 0 : FRESH, bytes);
#ifdef EMULATOR_ADDRESS_SANITIZER
    __asan_poison_memory_region(memory, GUARD);
    __asan_poison_memory_region(memory + GUARD + bytes, total - GUARD - bytes);
#endif
    *pointer = reinterpret_cast<DevicePointer>(memory + GUARD);
    ++allocated;
    live[*pointer] = {memory, bytes, total};
    used += bytes;
    return SUCCESS;
}

// Gives the oldest freed memory back to the host, after a look at whether someone wrote into it.
void shorten_quarantine() {
    while (freed_bytes > QUARANTINE) {
        auto oldest = freed.find(freed_order.front());
        freed_order.pop_front();
        Allocation allocation = oldest->second;
#ifdef EMULATOR_ADDRESS_SANITIZER
        __asan_unpoison_memory_region(allocation.memory, allocation.total);
#else
        for (size_t at = 0; at < allocation.bytes; ++at) {
            if (allocation.memory[GUARD + at] != FREED) {
                refuse(ILLEGAL_ADDRESS, "something wrote into device memory after it was freed, byte %zu of %zu", at, allocation.bytes);
                std::abort();
            }
        }
#endif
        std::free(allocation.memory);
        freed_bytes -= allocation.bytes;
        freed.erase(oldest);
    }
}

Result release(DevicePointer pointer) {
    auto found = live.find(pointer);
    if (found == live.end()) {
        return refuse(INVALID_VALUE, "freed an address that is not the start of a live allocation: 0x%llx", pointer);
    }
    if (!guards_are_whole(found->second)) {
        return refuse(ILLEGAL_ADDRESS, "something wrote next to an allocation of %zu bytes", found->second.bytes);
    }
    Allocation allocation = found->second;
    live.erase(found);
    used -= allocation.bytes;
    std::memset(allocation.memory + GUARD, FREED, allocation.bytes);
#ifdef EMULATOR_ADDRESS_SANITIZER
    __asan_poison_memory_region(allocation.memory, allocation.total);
#endif
    freed[pointer] = allocation;
    freed_order.push_back(pointer);
    freed_bytes += allocation.bytes;
    shorten_quarantine();
    return SUCCESS;
}

// The 8-byte words of arguments: pointers, also within structs.
template <class Visit>
Result visit_pointers(const std::vector<std::vector<unsigned char>>& arguments, Visit visit) {
    for (size_t number = 0; number < arguments.size(); ++number) {
        for (size_t at = 0; at + 8 <= arguments[number].size(); at += 8) {
            DevicePointer pointer;
            std::memcpy(&pointer, arguments[number].data() + at, sizeof pointer);
            if (Result result = visit(number, pointer)) {
                return result;
            }
        }
    }
    return SUCCESS;
}

}  // namespace

bool is_allocated(DevicePointer pointer, size_t bytes) {
    Allocation* found = find(live, pointer);
    return bytes == 0 || (found != nullptr && pointer + bytes <= reinterpret_cast<DevicePointer>(found->memory + GUARD) + found->bytes);
}

bool is_pinned(const void* pointer) {
    DevicePointer address = reinterpret_cast<DevicePointer>(pointer);
    auto found = find_in(pinned, address);
    return found != pinned.end() && address < found->first + found->second;
}

size_t used_memory() { return used; }

unsigned long allocations() { return allocated; }

size_t pinned_memory() { return pinned_bytes; }

size_t most_pinned_memory() { return most_pinned; }

Result check_arguments(const char* kernel, const std::vector<std::vector<unsigned char>>& arguments) {
    return visit_pointers(arguments, [&](size_t number, DevicePointer pointer) {
        bool stale = find(freed, pointer) != nullptr && find(live, pointer) == nullptr;
        return stale ? refuse(ILLEGAL_ADDRESS, "kernel %s: parameter %zu points into freed memory", kernel, number) : SUCCESS;
    });
}

Result check_guards(const char* kernel, const std::vector<std::vector<unsigned char>>& arguments) {
    return visit_pointers(arguments, [&](size_t number, DevicePointer pointer) {
        Allocation* found = find(live, pointer);
        return found != nullptr && !guards_are_whole(*found)
                   ? refuse(ILLEGAL_ADDRESS, "kernel %s: wrote outside the %zu bytes that parameter %zu points into", kernel, found->bytes, number)
                   : SUCCESS;
    });
}

EXPORT int cuMemGetInfo_v2(size_t* free, size_t* total) {
    MAY_FAIL;
    ENTER;
    *total = settings().memory;
    *free = *total - used;
    return lasting_error();
}

EXPORT int cuMemAlloc_v2(DevicePointer* pointer, size_t bytes) {
    MAY_FAIL;
    ENTER;
    if (Result result = forbid_in_capture("cuMemAlloc")) {
        return result;
    }
    if (Result result = used + bytes > COMFORTABLE ? finish_all() : lasting_error()) {
        return result;
    }
    return bytes == 0 ? INVALID_VALUE : allocate(pointer, bytes);
}

EXPORT int cuMemFree_v2(DevicePointer pointer) {
    MAY_FAIL;
    ENTER;
    if (Result result = forbid_in_capture("cuMemFree")) {
        return result;
    }
    Result result = finish_all();
    return result == SUCCESS ? release(pointer) : result;
}

EXPORT int cuMemAllocAsync(DevicePointer* pointer, size_t bytes, void* handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (Result result = forbid_on_capturing(*stream, "cuMemAllocAsync on a capturing stream: a captured step must not allocate")) {
        return result;
    }
    if (Result result = used + bytes > COMFORTABLE ? finish(*stream) : lasting_error()) {
        return result;
    }
    if (used + bytes > settings().memory) {
        finish_all();
    }
    return bytes == 0 ? INVALID_VALUE : allocate(pointer, bytes);
}

EXPORT int cuMemFreeAsync(DevicePointer pointer, void* handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (Result result = forbid_on_capturing(*stream, "cuMemFreeAsync on a capturing stream: the memory was not allocated by the graph")) {
        return result;
    }
    if (live.find(pointer) == live.end()) {
        return refuse(INVALID_VALUE, "cuMemFreeAsync: 0x%llx is not the start of a live allocation", pointer);
    }
    return enqueue(*stream, [=] { return release(pointer); });
}

EXPORT int cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
    MAY_FAIL;
    ENTER;
    if (pinned_bytes + bytes > settings().pinned) {
        return OUT_OF_MEMORY;
    }
    *pointer = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (*pointer == nullptr) {
        return OUT_OF_MEMORY;
    }
    std::memset(*pointer, FRESH, bytes);
    pinned[reinterpret_cast<DevicePointer>(*pointer)] = bytes;
    pinned_bytes += bytes;
    most_pinned = std::max(most_pinned, pinned_bytes);
    return SUCCESS;
}

EXPORT int cuMemFreeHost(void* pointer) {
    MAY_FAIL;
    ENTER;
    auto found = pinned.find(reinterpret_cast<DevicePointer>(pointer));
    if (found == pinned.end()) {
        return refuse(INVALID_VALUE, "cuMemFreeHost: not pinned memory");
    }
    Result result = finish_all();
    pinned_bytes -= found->second;
    pinned.erase(found);
    std::free(pointer);
    return result;
}

// ---- Pools: one, whose memory is that of cuMemAllocAsync ----

namespace {

struct Pool {
    uint64_t release_threshold = 0;
};

Pool pool;

}  // namespace

EXPORT int cuDeviceGetDefaultMemPool(void** handle, int) {
    MAY_FAIL;
    *handle = &pool;
    return SUCCESS;
}

EXPORT int cuDeviceGetMemPool(void** handle, int device) { MAY_FAIL; return cuDeviceGetDefaultMemPool(handle, device); }

EXPORT int cuMemPoolSetAttribute(void* handle, int which, void* value) {
    MAY_FAIL;
    if (handle != &pool) {
        return INVALID_VALUE;
    }
    if (which == 4) {  // RELEASE_THRESHOLD
        std::memcpy(&pool.release_threshold, value, sizeof pool.release_threshold);
    }
    return SUCCESS;
}

EXPORT int cuMemPoolGetAttribute(void* handle, int which, void* value) {
    MAY_FAIL;
    ENTER;
    if (handle != &pool) {
        return INVALID_VALUE;
    }
    uint64_t answer = which == 4 ? pool.release_threshold : used;  // RELEASE_THRESHOLD; the others are reserved and used bytes
    std::memcpy(value, &answer, which < 4 ? sizeof(int) : sizeof answer);
    return SUCCESS;
}

EXPORT int cuMemPoolTrimTo(void* handle, size_t) { MAY_FAIL; return handle == &pool ? SUCCESS : INVALID_VALUE; }

EXPORT int cuMemAllocFromPoolAsync(DevicePointer* pointer, size_t bytes, void* handle, void* stream) {
    MAY_FAIL;
    return handle == &pool ? cuMemAllocAsync(pointer, bytes, stream) : INVALID_VALUE;
}
