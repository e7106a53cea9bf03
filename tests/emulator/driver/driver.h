// What the parts of the emulated driver share. Device memory is host memory; each stream is a queue of work that runs at a call that waits for it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// CUresult, as in cuda.h.
enum Result : int {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NO_BINARY_FOR_GPU = 209,
    INVALID_PTX = 218,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_UNMATCHED = 903,
    CAPTURE_UNJOINED = 904,
    CAPTURE_ISOLATION = 905,
};

typedef unsigned long long DevicePointer;

// From the environment; see README.md.
struct Settings {
    int capability = 90;  // EMULATOR_CAPABILITY=9.0
    int devices = 1;      // EMULATOR_DEVICES
    int version = 13000;  // EMULATOR_DRIVER_VERSION
    bool eager = false;   // EMULATOR_STREAMS=eager
    bool trace = false;   // EMULATOR_TRACE=1
    std::string idle;     // EMULATOR_IDLE: kernels whose names begin so do nothing, *: all
    size_t memory = size_t(4) << 30;  // EMULATOR_MEMORY, bytes
    size_t pinned = size_t(4) << 30;  // EMULATOR_PINNED, bytes
};
const Settings& settings();

// One thread at a time is in the driver.
std::recursive_mutex& mutex();

// Says on stderr what was wrong, in words, and returns `result`.
Result refuse(Result result, const char* format, ...) __attribute__((format(printf, 2, 3)));

#define EXPORT extern "C" __attribute__((visibility("default")))
#define ENTER std::lock_guard<std::recursive_mutex> entered(mutex())

// The first thing in every function but those that name errors: counts the call, and ends it if it is to fail (planned_faults.cpp).
#define MAY_FAIL                                    \
    if (int planned = planned_fault(__func__)) {    \
        return planned;                             \
    }
int planned_fault(const char* function);

// ---- Work ----

typedef std::function<Result()> Work;

struct Stream;

// Work that was recorded instead of run, and the streams that record it.
struct Capture {
    std::vector<Work> work;
    Stream* origin = nullptr;
    bool invalid = false;
};

struct Stream {
    std::deque<Work> queue;
    uint64_t enqueued = 0, done = 0;  // numbers of pieces of work
    bool blocking = true;             // waits for the default stream, and it for this one
    std::shared_ptr<Capture> capture;
    uint64_t captured = 0, joined = 0;  // of a stream that another one's capture includes: its work, and what of it the origin has waited for
};

// The stream of a handle; 0, 1 and 2 are the default stream. Null if it is none.
std::shared_ptr<Stream> find_stream(void* handle);
std::vector<std::shared_ptr<Stream>> all_streams();

// Puts work at the end of a stream, or into its capture; runs it at once if streams are eager.
Result enqueue(Stream& stream, Work work);

// Runs a stream's work up to piece `position`; all of it.
Result run_until(Stream& stream, uint64_t position);
Result finish(Stream& stream);
Result finish_all();

// The error after which every call fails, as on a device: SUCCESS if there was none.
Result lasting_error();

// Whether any stream captures: then calls that wait for the device are forbidden and spoil the capture.
Result forbid_in_capture(const std::string& call);

// The same for calls that only the stream in question must not see while it captures; SUCCESS if it does not.
Result forbid_on_capturing(Stream& stream, const std::string& what);

// ---- Memory (memory.cpp) ----

// Whether `bytes` bytes from `pointer` lie in one live allocation.
bool is_allocated(DevicePointer pointer, size_t bytes);

bool is_pinned(const void* pointer);

// Around a launch: whether an argument points into freed memory; whether the kernel wrote next to an allocation that an argument points into.
Result check_arguments(const char* kernel, const std::vector<std::vector<unsigned char>>& arguments);
Result check_guards(const char* kernel, const std::vector<std::vector<unsigned char>>& arguments);

size_t used_memory();

// Bytes of pinned host memory: now, and when there were most.
size_t pinned_memory();
size_t most_pinned_memory();

// How often device memory was allocated, how often a graph was launched, and how often memory was allocated from the first launch of a graph to the last.
unsigned long allocations();
unsigned long graph_launches();
unsigned long allocations_between_graphs();

// ---- Device (device.cpp) ----

int device_attribute(int which);
