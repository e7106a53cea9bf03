// Copies and fills. Each is checked when it is asked for, and again when it runs.
#include <cstring>

#include "driver.h"

namespace {

Result copy_to_device(Stream& stream, DevicePointer to, const void* from, size_t bytes) {
    if (!is_allocated(to, bytes)) {
        return refuse(INVALID_VALUE, "copy to the device: %zu bytes at 0x%llx are not one live allocation", bytes, to);
    }
    auto copy = [=](const void* source) {
        if (!is_allocated(to, bytes)) {
            return refuse(ILLEGAL_ADDRESS, "copy to the device: the %zu bytes were freed before the copy ran", bytes);
        }
        std::memcpy(reinterpret_cast<void*>(to), source, bytes);
        return SUCCESS;
    };
    if (is_pinned(from) || stream.capture != nullptr) {  // read when the copy runs: who overwrites it early sees it
        return enqueue(stream, [=] { return copy(from); });
    }
    auto staged = std::make_shared<std::vector<unsigned char>>(static_cast<const unsigned char*>(from), static_cast<const unsigned char*>(from) + bytes);
    return enqueue(stream, [=] { return copy(staged->data()); });
}

Result copy_to_host(Stream& stream, void* to, DevicePointer from, size_t bytes) {
    if (!is_allocated(from, bytes)) {
        return refuse(INVALID_VALUE, "copy to the host: %zu bytes at 0x%llx are not one live allocation", bytes, from);
    }
    Result result = enqueue(stream, [=] {
        if (!is_allocated(from, bytes)) {
            return refuse(ILLEGAL_ADDRESS, "copy to the host: the %zu bytes were freed before the copy ran", bytes);
        }
        std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
        return SUCCESS;
    });
    bool waits = stream.capture == nullptr && !is_pinned(to);  // into pageable memory the call itself copies
    return result == SUCCESS && waits ? finish(stream) : result;
}

}  // namespace

EXPORT int cuMemcpyHtoDAsync_v2(DevicePointer to, const void* from, size_t bytes, void* handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    return stream == nullptr ? INVALID_HANDLE : copy_to_device(*stream, to, from, bytes);
}

EXPORT int cuMemcpyHtoD_v2(DevicePointer to, const void* from, size_t bytes) {
    MAY_FAIL;
    ENTER;
    if (Result result = forbid_in_capture("cuMemcpyHtoD")) {
        return result;
    }
    Result result = copy_to_device(*find_stream(nullptr), to, from, bytes);
    return result == SUCCESS ? finish(*find_stream(nullptr)) : result;
}

EXPORT int cuMemcpyDtoHAsync_v2(void* to, DevicePointer from, size_t bytes, void* handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    return stream == nullptr ? INVALID_HANDLE : copy_to_host(*stream, to, from, bytes);
}

EXPORT int cuMemcpyDtoH_v2(void* to, DevicePointer from, size_t bytes) {
    MAY_FAIL;
    ENTER;
    if (Result result = forbid_in_capture("cuMemcpyDtoH")) {
        return result;
    }
    Result result = copy_to_host(*find_stream(nullptr), to, from, bytes);
    return result == SUCCESS ? finish(*find_stream(nullptr)) : result;
}

EXPORT int cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes, void* handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (!is_allocated(to, bytes) || !is_allocated(from, bytes)) {
        return refuse(INVALID_VALUE, "copy on the device: %zu bytes are not one live allocation", bytes);
    }
    return enqueue(*stream, [=] {
        if (!is_allocated(to, bytes) || !is_allocated(from, bytes)) {
            return refuse(ILLEGAL_ADDRESS, "copy on the device: memory was freed before the copy ran");
        }
        std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
        return SUCCESS;
    });
}

EXPORT int cuMemcpyDtoD_v2(DevicePointer to, DevicePointer from, size_t bytes) { MAY_FAIL; return cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr); }

namespace {

// `count` values of type T.
template <class T>
int set_memory(DevicePointer to, T value, size_t count, void* handle) {
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (!is_allocated(to, count * sizeof(T)) || to % sizeof(T) != 0) {
        return refuse(INVALID_VALUE, "memset: %zu bytes at 0x%llx are not one aligned live allocation", count * sizeof(T), to);
    }
    return enqueue(*stream, [=] {
        if (!is_allocated(to, count * sizeof(T))) {
            return refuse(ILLEGAL_ADDRESS, "memset: the memory was freed before it ran");
        }
        T* target = reinterpret_cast<T*>(to);
        for (size_t at = 0; at < count; ++at) {
            target[at] = value;
        }
        return SUCCESS;
    });
}

}  // namespace

EXPORT int cuMemsetD8Async(DevicePointer to, unsigned char value, size_t count, void* stream) { MAY_FAIL; return set_memory(to, value, count, stream); }
EXPORT int cuMemsetD16Async(DevicePointer to, unsigned short value, size_t count, void* stream) { MAY_FAIL; return set_memory(to, value, count, stream); }
EXPORT int cuMemsetD32Async(DevicePointer to, unsigned value, size_t count, void* stream) { MAY_FAIL; return set_memory(to, value, count, stream); }
EXPORT int cuMemsetD8_v2(DevicePointer to, unsigned char value, size_t count) { MAY_FAIL; return set_memory(to, value, count, nullptr); }
