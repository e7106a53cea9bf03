// The emulated driver does what it should.
#include "check.h"

namespace {

// Two streams, ordered by an event; a buffer that the host must not touch is not touched.
void events(int) {
    Array<float> first(filled(1)), second(COUNT), third(COUNT);
    void *producer = new_stream(), *consumer = new_stream(), *event = nullptr, *function = copy_kernel();
    CALL(cuEventCreate(&event, 0));
    launch(function, {1, COUNT, 0, producer}, second.pointer(), first.pointer());
    CALL(cuEventRecord(event, producer));
    CALL(cuStreamWaitEvent(consumer, event, 0));
    launch(function, {1, COUNT, 0, consumer}, third.pointer(), second.pointer());
    std::vector<float> found(COUNT);
    CALL(cuMemcpyDtoHAsync_v2(found.data(), third.pointer(), third.bytes(), consumer));
    require(found == filled(1), "element 0: %g", found[0]);
    CALL(cuEventSynchronize(event));
    float milliseconds = -1;
    CALL(cuEventElapsedTime(&milliseconds, event, event));
    require(milliseconds == 0, "%g ms between an event and itself", milliseconds);
    while (cuEventQuery(event) != 0) {
    }
}

// A graph of two streams is recorded without running, then runs as often as it is launched.
void graphs(int) {
    Array<float> first(filled(1)), second(filled(2)), third(filled(3));
    void *origin = new_stream(), *other = new_stream(), *fork = nullptr, *join = nullptr, *graph = nullptr, *executable = nullptr;
    void* function = copy_kernel();
    int status = 0;
    CALL(cuEventCreate(&fork, 2));
    CALL(cuEventCreate(&join, 2));
    Array<float> fourth(filled(4)), fifth(filled(5));
    CALL(cuStreamBeginCapture_v2(origin, 0));
    launch(function, {1, COUNT, 0, origin}, second.pointer(), first.pointer());
    CALL(cuMemcpyDtoDAsync_v2(fourth.pointer(), second.pointer(), second.bytes(), origin));
    CALL(cuMemsetD32Async(fifth.pointer(), 0x3f800000, COUNT, origin));
    CALL(cuEventRecord(fork, origin));
    CALL(cuStreamWaitEvent(other, fork, 0));
    launch(function, {1, COUNT, 0, other}, third.pointer(), second.pointer());
    CALL(cuStreamIsCapturing(other, &status));
    require(status == 1, "a stream that waits for an event of a capture joins it");
    CALL(cuEventRecord(join, other));
    CALL(cuStreamWaitEvent(origin, join, 0));
    CALL(cuStreamEndCapture(origin, &graph));
    CALL(cuGraphInstantiateWithFlags(&executable, graph, 0));
    require(second.values() == filled(2), "a capture ran");
    for (float value : {5.0f, 6.0f}) {
        std::vector<float> input = filled(value);
        CALL(cuMemcpyHtoDAsync_v2(first.pointer(), input.data(), first.bytes(), origin));
        CALL(cuGraphLaunch(executable, origin));
        CALL(cuStreamSynchronize(origin));
        require(third.values() == filled(value), "element 0: %g, expected %g", third.values()[0], value);
        require(fourth.values() == filled(value), "copied, element 0: %g, expected %g", fourth.values()[0], value);
        require(fifth.values() == filled(1), "filled, element 0: %g", fifth.values()[0]);
        CALL(cuMemsetD32Async(fifth.pointer(), 0, COUNT, origin));
    }
}

// Pageable memory may be overwritten at once after a copy from it; the default stream waits for blocking streams and they for it.
void copies(int) {
    Array<float> first(COUNT), second(COUNT);
    void *blocking = nullptr, *function = copy_kernel();
    CALL(cuStreamCreate(&blocking, 0));
    std::vector<float> input = filled(4);
    CALL(cuMemcpyHtoDAsync_v2(first.pointer(), input.data(), first.bytes(), nullptr));
    input = filled(0);
    launch(function, {1, COUNT, 0, blocking}, second.pointer(), first.pointer());
    std::vector<float> found(COUNT);
    CALL(cuMemcpyDtoH_v2(found.data(), second.pointer(), second.bytes()));
    require(found == filled(4), "element 0: %g", found[0]);
    int calls = 0;
    CALL(cuLaunchHostFunc(blocking, [](void* data) { ++*static_cast<int*>(data); }, &calls));
    CALL(cuStreamSynchronize(blocking));
    require(calls == 1, "the host function ran %d times", calls);
}

}  // namespace

std::vector<Case> driver_cases() { return {{"events", events}, {"graphs", graphs}, {"copies", copies}}; }
