// What the checks share: the little of the driver API and of NVRTC that they call, and how a case ends.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

typedef unsigned long long DevicePointer;

extern "C" {
int cuInit(unsigned);
int cuDeviceGetAttribute(int*, int, int);
int cuGetErrorName(int, const char**);
int cuDevicePrimaryCtxRetain(void**, int);
int cuCtxSetCurrent(void*);
int cuCtxSynchronize();
int cuMemAlloc_v2(DevicePointer*, size_t);
int cuMemFree_v2(DevicePointer);
int cuMemAllocAsync(DevicePointer*, size_t, void*);
int cuMemHostAlloc(void**, size_t, unsigned);
int cuMemFreeHost(void*);
int cuMemcpyHtoD_v2(DevicePointer, const void*, size_t);
int cuMemcpyDtoH_v2(void*, DevicePointer, size_t);
int cuMemcpyHtoDAsync_v2(DevicePointer, const void*, size_t, void*);
int cuMemcpyDtoHAsync_v2(void*, DevicePointer, size_t, void*);
int cuMemcpyDtoDAsync_v2(DevicePointer, DevicePointer, size_t, void*);
int cuMemsetD32Async(DevicePointer, unsigned, size_t, void*);
int cuStreamCreate(void**, unsigned);
int cuStreamSynchronize(void*);
int cuStreamWaitEvent(void*, void*, unsigned);
int cuStreamBeginCapture_v2(void*, int);
int cuStreamEndCapture(void*, void**);
int cuStreamIsCapturing(void*, int*);
int cuEventCreate(void**, unsigned);
int cuEventRecord(void*, void*);
int cuEventQuery(void*);
int cuEventSynchronize(void*);
int cuEventElapsedTime(float*, void*, void*);
int cuGraphInstantiateWithFlags(void**, void*, unsigned long long);
int cuGraphLaunch(void*, void*);
int cuModuleLoadData(void**, const void*);
int cuModuleGetFunction(void**, void*, const char*);
int cuFuncSetAttribute(void*, int, int);
int cuTensorMapEncodeTiled(void*, unsigned, unsigned, void*, const uint64_t*, const uint64_t*, const uint32_t*, const uint32_t*, unsigned, unsigned, unsigned,
                           unsigned);
int cuLaunchHostFunc(void*, void (*)(void*), void*);
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);
int nvrtcCreateProgram(void**, const char*, const char*, int, const char* const*, const char* const*);
int nvrtcCompileProgram(void*, int, const char* const*);
int nvrtcGetProgramLogSize(void*, size_t*);
int nvrtcGetProgramLog(void*, char*);
int nvrtcGetCUBINSize(void*, size_t*);
int nvrtcGetCUBIN(void*, char*);
int nvrtcDestroyProgram(void**);
}

constexpr unsigned NON_BLOCKING = 1;

// How a case ends when it does not end well: exit codes for tests/rig.rs.
constexpr int WRONG = 3, REFUSED = 4;

// Ends the process with WRONG, and says what was wrong, unless `condition`.
void require(bool condition, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Ends the process with REFUSED, and says which call failed how, unless `result` is success.
void succeed(int result, const char* call);
#define CALL(call) succeed(call, #call)

// An integer as f16 (`element` 1) or bf16 (2).
uint16_t encode(int element, int value);

// A source of check/kernels/, compiled for the device with options such as "-DELEMENT=1".
class Kernels {
public:
    explicit Kernels(const std::string& file, const std::vector<std::string>& options = {});
    void* function(const char* name);

private:
    void* module_ = nullptr;
};

struct Shape {
    unsigned grid, block;
    unsigned dynamic_bytes = 0;
    void* stream = nullptr;
};

template <class... Parameters>
void launch(void* function, Shape shape, const Parameters&... parameters) {
    void* pointers[] = {const_cast<Parameters*>(&parameters)..., nullptr};
    CALL(cuLaunchKernel(function, shape.grid, 1, 1, shape.block, 1, 1, shape.dynamic_bytes, shape.stream, pointers, nullptr));
}

// An array on the device.
template <class T>
class Array {
public:
    explicit Array(size_t count) : count_(count) { CALL(cuMemAlloc_v2(&pointer_, count * sizeof(T))); }
    explicit Array(const std::vector<T>& values) : Array(values.size()) { CALL(cuMemcpyHtoD_v2(pointer_, values.data(), count_ * sizeof(T))); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    DevicePointer pointer() const { return pointer_; }
    size_t bytes() const { return count_ * sizeof(T); }

    std::vector<T> values() const {
        std::vector<T> values(count_);
        CALL(cuCtxSynchronize());
        CALL(cuMemcpyDtoH_v2(values.data(), pointer_, bytes()));
        return values;
    }

private:
    DevicePointer pointer_ = 0;
    size_t count_;
};

// What the cases share: small arrays, a kernel that copies one, a stream of its own.
constexpr size_t COUNT = 128;

inline std::vector<float> filled(float value) { return std::vector<float>(COUNT, value); }

inline void* copy_kernel() { return Kernels("mistakes.cu").function("copy"); }

inline void* new_stream() {
    void* stream = nullptr;
    CALL(cuStreamCreate(&stream, NON_BLOCKING));
    return stream;
}

// A case of this program: `check <name> [argument]`.
struct Case {
    const char* name;
    void (*run)(int argument);
};

std::vector<Case> scalar_cases();
std::vector<Case> tensor_core_cases();
std::vector<Case> hopper_cases();
std::vector<Case> hopper_mistakes();
std::vector<Case> cluster_cases();
std::vector<Case> cluster_mistakes();
std::vector<Case> warp_cases();
std::vector<Case> driver_cases();
std::vector<Case> kernel_mistakes();
std::vector<Case> host_mistakes();
