// Devices, their attributes, contexts.
#include <cstdio>
#include <cstring>

#include "driver.h"

namespace {

// There is one context per device, the primary one.
char contexts[16];
thread_local void* current = nullptr;

// Sizes that depend on the compute capability (CUDA programming guide, "Technical specifications").
struct Limits {
    int shared_most, shared_per_processor, threads_per_processor;
};

Limits limits() {
    switch (settings().capability) {
        case 75: return {65536, 65536, 1024};
        case 80: return {166912, 167936, 2048};
        case 86: case 89: case 120: return {101376, 102400, 1536};
        default: return {232448, 233472, 2048};
    }
}

int attribute(int which) {
    switch (which) {
        case 1: return 1024;                             // MAX_THREADS_PER_BLOCK
        case 2: case 3: return 1024;                     // MAX_BLOCK_DIM_X, Y
        case 4: return 64;                               // MAX_BLOCK_DIM_Z
        case 5: return 2147483647;                       // MAX_GRID_DIM_X
        case 6: case 7: return 65535;                    // MAX_GRID_DIM_Y, Z
        case 8: return 49152;                            // MAX_SHARED_MEMORY_PER_BLOCK
        case 9: return 65536;                            // TOTAL_CONSTANT_MEMORY
        case 10: return 32;                              // WARP_SIZE
        case 12: return 65536;                           // MAX_REGISTERS_PER_BLOCK
        case 13: return 1000000;                         // CLOCK_RATE, kHz
        case 16: return 4;                               // MULTIPROCESSOR_COUNT
        case 36: return 1000000;                         // MEMORY_CLOCK_RATE, kHz
        case 37: return 1024;                            // GLOBAL_MEMORY_BUS_WIDTH, bits
        case 38: return 256 << 10;                       // L2_CACHE_SIZE
        case 39: return limits().threads_per_processor;  // MAX_THREADS_PER_MULTIPROCESSOR
        case 41: return 1;                               // UNIFIED_ADDRESSING
        case 75: return settings().capability / 10;      // COMPUTE_CAPABILITY_MAJOR
        case 76: return settings().capability % 10;      // COMPUTE_CAPABILITY_MINOR
        case 81: return limits().shared_per_processor;   // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
        case 82: return 65536;                           // MAX_REGISTERS_PER_MULTIPROCESSOR
        case 97: return limits().shared_most;            // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        case 106: return 32;                             // MAX_BLOCKS_PER_MULTIPROCESSOR
        case 111: return 1024;                           // RESERVED_SHARED_MEMORY_PER_BLOCK
        case 115: return 1;                              // MEMORY_POOLS_SUPPORTED
        default: return 0;
    }
}

bool exists(int device) { return device >= 0 && device < settings().devices; }

}  // namespace

int device_attribute(int which) { return attribute(which); }

EXPORT int cuInit(unsigned) { MAY_FAIL; return settings().devices > 0 ? SUCCESS : NO_DEVICE; }

EXPORT int cuDriverGetVersion(int* version) {
    MAY_FAIL;
    *version = settings().version;
    return SUCCESS;
}

EXPORT int cuDeviceGetCount(int* count) {
    MAY_FAIL;
    *count = settings().devices;
    return SUCCESS;
}

EXPORT int cuDeviceGet(int* device, int ordinal) {
    MAY_FAIL;
    *device = ordinal;
    return exists(ordinal) ? SUCCESS : INVALID_DEVICE;
}

EXPORT int cuDeviceGetName(char* name, int bytes, int device) {
    MAY_FAIL;
    std::snprintf(name, static_cast<size_t>(bytes), "Emulated device (sm_%d)", settings().capability);
    return exists(device) ? SUCCESS : INVALID_DEVICE;
}

EXPORT int cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
    MAY_FAIL;
    std::memset(uuid, 0x42, 15);
    uuid[15] = static_cast<unsigned char>(device);
    return exists(device) ? SUCCESS : INVALID_DEVICE;
}

EXPORT int cuDeviceTotalMem_v2(size_t* bytes, int device) {
    MAY_FAIL;
    *bytes = settings().memory;
    return exists(device) ? SUCCESS : INVALID_DEVICE;
}

EXPORT int cuDeviceGetAttribute(int* value, int which, int device) {
    MAY_FAIL;
    *value = attribute(which);
    return exists(device) ? SUCCESS : INVALID_DEVICE;
}

EXPORT int cuDevicePrimaryCtxRetain(void** context, int device) {
    MAY_FAIL;
    if (!exists(device)) {
        return INVALID_DEVICE;
    }
    *context = &contexts[device];
    return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRelease_v2(int device) { MAY_FAIL; return exists(device) ? SUCCESS : INVALID_DEVICE; }

EXPORT int cuCtxSetCurrent(void* context) {
    MAY_FAIL;
    current = context;
    return SUCCESS;
}

EXPORT int cuCtxGetCurrent(void** context) {
    MAY_FAIL;
    *context = current;
    return SUCCESS;
}

EXPORT int cuCtxGetDevice(int* device) {
    MAY_FAIL;
    *device = static_cast<int>(static_cast<char*>(current) - contexts);
    return current == nullptr ? INVALID_CONTEXT : SUCCESS;
}

EXPORT int cuCtxSetLimit(int, size_t) { MAY_FAIL; return SUCCESS; }
EXPORT int cuCtxSetFlags(unsigned) { MAY_FAIL; return SUCCESS; }

EXPORT int cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    MAY_FAIL;
    *least = 0;
    *greatest = -5;
    return SUCCESS;
}

EXPORT int cuCtxSynchronize() {
    MAY_FAIL;
    ENTER;
    Result allowed = forbid_in_capture("cuCtxSynchronize");
    return allowed == SUCCESS ? finish_all() : allowed;
}

EXPORT int cuProfilerStart() { MAY_FAIL; return SUCCESS; }
EXPORT int cuProfilerStop() { MAY_FAIL; return SUCCESS; }

// A real NVRTC opens libcuda.so.1 and asks for tables of further functions. The first word of a table is its size: this one has none.
EXPORT int cuGetExportTable(const void** table, const unsigned char*) {
    static const size_t empty[1] = {sizeof(size_t)};
    *table = empty;
    return SUCCESS;
}
