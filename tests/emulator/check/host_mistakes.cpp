// Mistakes of the host. The argument says whether the mistake is made.
#include "check.h"

namespace {

// The mistake: a stream uses what another one has not finished.
void missing_event(int mistake) {
    Array<float> first(filled(1)), second(filled(0)), third(COUNT);
    void *producer = new_stream(), *consumer = new_stream(), *event = nullptr, *function = copy_kernel();
    launch(function, {1, COUNT, 0, producer}, second.pointer(), first.pointer());
    if (!mistake) {
        CALL(cuEventCreate(&event, 2));
        CALL(cuEventRecord(event, producer));
        CALL(cuStreamWaitEvent(consumer, event, 0));
    }
    launch(function, {1, COUNT, 0, consumer}, third.pointer(), second.pointer());
    std::vector<float> found(COUNT);
    CALL(cuMemcpyDtoHAsync_v2(found.data(), third.pointer(), third.bytes(), consumer));
    require(found == filled(1), "element 0: %g", found[0]);
}

// The mistake: a pinned buffer is filled anew while a copy from it is on its way.
void early_overwrite(int mistake) {
    Array<float> device(COUNT);
    void *stream = new_stream(), *memory = nullptr;
    CALL(cuMemHostAlloc(&memory, device.bytes(), 0));
    float* pinned = static_cast<float*>(memory);
    for (float value : {1.0f, 2.0f}) {
        for (size_t i = 0; i < COUNT; ++i) {
            pinned[i] = value;
        }
        if (value == 1.0f) {
            CALL(cuMemcpyHtoDAsync_v2(device.pointer(), pinned, device.bytes(), stream));
            if (!mistake) {
                CALL(cuStreamSynchronize(stream));
            }
        }
    }
    CALL(cuStreamSynchronize(stream));
    require(device.values() == filled(1), "element 0: %g", device.values()[0]);
}

// The mistake: pinned memory is read before the copy into it has ended.
void early_read(int mistake) {
    Array<float> device(filled(1));
    void *stream = new_stream(), *memory = nullptr;
    CALL(cuMemHostAlloc(&memory, device.bytes(), 0));
    CALL(cuMemcpyDtoHAsync_v2(memory, device.pointer(), device.bytes(), stream));
    if (!mistake) {
        CALL(cuStreamSynchronize(stream));
    }
    require(static_cast<float*>(memory)[0] == 1.0f, "element 0: %g", static_cast<double>(static_cast<float*>(memory)[0]));
}

// The mistake: a kernel gets a pointer that was freed before the launch.
void use_after_free(int mistake) {
    Array<float> output(COUNT);
    DevicePointer input = 0;
    CALL(cuMemAlloc_v2(&input, COUNT * 4));
    CALL(cuMemcpyHtoD_v2(input, filled(1).data(), COUNT * 4));
    void* function = copy_kernel();
    if (mistake) {
        CALL(cuMemFree_v2(input));
    }
    launch(function, {1, COUNT}, output.pointer(), input);
    CALL(cuCtxSynchronize());
    require(output.values() == filled(1), "element 0: %g", output.values()[0]);
}

void double_free(int mistake) {
    DevicePointer pointer = 0;
    CALL(cuMemAlloc_v2(&pointer, 100));
    CALL(cuMemFree_v2(pointer));
    if (mistake) {
        CALL(cuMemFree_v2(pointer));
    }
}

void copy_beyond(int mistake) {
    Array<float> device(COUNT);
    std::vector<float> values(COUNT + 1);
    CALL(cuMemcpyHtoD_v2(device.pointer(), values.data(), device.bytes() + (mistake ? 4 : 0)));
}

// The mistake: code for another generation of devices.
void unlaunchable_image(int mistake) { Kernels("mistakes.cu", mistake ? std::vector<std::string>{"-arch=sm_80"} : std::vector<std::string>{}).function("copy"); }

// The mistake: 5 GiB of 4.
void out_of_memory(int mistake) {
    DevicePointer pointer = 0;
    CALL(cuMemAlloc_v2(&pointer, size_t(mistake ? 5120 : 1) << 20));
}

// The mistake: a captured step allocates.
void allocation_in_capture(int mistake) {
    void *stream = new_stream(), *graph = nullptr;
    DevicePointer pointer = 0;
    CALL(cuStreamBeginCapture_v2(stream, 0));
    if (mistake) {
        CALL(cuMemAllocAsync(&pointer, 100, stream));
    }
    CALL(cuStreamEndCapture(stream, &graph));
}

// The mistake: a capture ends although a stream that joined it goes on.
void unjoined_capture(int mistake) {
    Array<float> first(filled(1)), second(COUNT);
    void *origin = new_stream(), *other = new_stream(), *fork = nullptr, *join = nullptr, *graph = nullptr, *function = copy_kernel();
    CALL(cuEventCreate(&fork, 2));
    CALL(cuEventCreate(&join, 2));
    CALL(cuStreamBeginCapture_v2(origin, 0));
    CALL(cuEventRecord(fork, origin));
    CALL(cuStreamWaitEvent(other, fork, 0));
    launch(function, {1, COUNT, 0, other}, second.pointer(), first.pointer());
    CALL(cuEventRecord(join, other));
    if (!mistake) {
        CALL(cuStreamWaitEvent(origin, join, 0));
    }
    CALL(cuStreamEndCapture(origin, &graph));
}

// The mistake: waiting for a stream that is being captured; it spoils the capture.
void wait_in_capture(int mistake) {
    void *stream = new_stream(), *graph = nullptr;
    CALL(cuStreamBeginCapture_v2(stream, 0));
    if (mistake) {
        cuStreamSynchronize(stream);
    }
    CALL(cuStreamEndCapture(stream, &graph));
}

}  // namespace

std::vector<Case> host_mistakes() {
    return {{"missing_event", missing_event},       {"early_overwrite", early_overwrite},
            {"early_read", early_read},             {"use_after_free", use_after_free},
            {"double_free", double_free},           {"copy_beyond", copy_beyond},
            {"allocation_in_capture", allocation_in_capture}, {"unjoined_capture", unjoined_capture},
            {"unlaunchable_image", unlaunchable_image},       {"out_of_memory", out_of_memory},
            {"wait_in_capture", wait_in_capture}};
}
