// Graphs: what a stream would have done is recorded and can be done again. Work keeps the order in which it was recorded.
#include "driver.h"

static unsigned long launched = 0, allocated_before = 0, allocated_between = 0;

unsigned long graph_launches() { return launched; }

unsigned long allocations_between_graphs() { return allocated_between; }

Result forbid_on_capturing(Stream& stream, const std::string& what) {
    if (stream.capture == nullptr) {
        return SUCCESS;
    }
    stream.capture->invalid = true;
    return refuse(CAPTURE_UNSUPPORTED, "%s", what.c_str());
}

Result forbid_in_capture(const std::string& call) {
    for (auto& stream : all_streams()) {
        if (Result result = forbid_on_capturing(*stream, call + " while a stream is capturing")) {
            return result;
        }
    }
    return lasting_error();
}

EXPORT int cuStreamBeginCapture_v2(void* handle, int) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr || stream == find_stream(nullptr)) {
        return refuse(CAPTURE_UNSUPPORTED, "the default stream cannot be captured");
    }
    if (stream->capture != nullptr) {
        return refuse(INVALID_VALUE, "the stream is being captured already");
    }
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream.get();
    stream->captured = stream->joined = 0;
    return lasting_error();
}

EXPORT int cuStreamIsCapturing(void* handle, int* status) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    *status = stream->capture == nullptr ? 0 : stream->capture->invalid ? 2 : 1;  // NONE, INVALIDATED, ACTIVE
    return SUCCESS;
}

EXPORT int cuStreamEndCapture(void* handle, void** graph) {
    MAY_FAIL;
    ENTER;
    *graph = nullptr;
    auto stream = find_stream(handle);
    if (stream == nullptr || stream->capture == nullptr || stream->capture->origin != stream.get()) {
        return refuse(CAPTURE_UNMATCHED, "the end of a capture that this stream did not begin");
    }
    std::shared_ptr<Capture> capture = stream->capture;
    bool joined = true;
    for (auto& other : all_streams()) {
        if (other->capture == capture) {
            joined = joined && (other == stream || other->joined == other->captured);
            other->capture = nullptr;
        }
    }
    if (capture->invalid) {
        return refuse(CAPTURE_INVALIDATED, "a forbidden call spoiled this capture");
    }
    if (!joined) {
        return refuse(CAPTURE_UNJOINED, "the capturing stream did not wait for the work of a stream that joined its capture");
    }
    *graph = new std::vector<Work>(capture->work);
    return lasting_error();
}

EXPORT int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
    MAY_FAIL;
    ENTER;
    *executable = new std::vector<Work>(*static_cast<std::vector<Work>*>(graph));
    return lasting_error();
}

EXPORT int cuGraphGetNodes(void* graph, void**, size_t* count) {
    MAY_FAIL;
    *count = static_cast<std::vector<Work>*>(graph)->size();
    return SUCCESS;
}

EXPORT int cuGraphUpload(void*, void*) { MAY_FAIL; return SUCCESS; }

EXPORT int cuGraphLaunch(void* executable, void* handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (Result result = forbid_on_capturing(*stream, "cuGraphLaunch on a capturing stream is not emulated")) {
        return result;
    }
    allocated_between += launched > 0 ? allocations() - allocated_before : 0;
    allocated_before = allocations();
    ++launched;
    for (const Work& work : *static_cast<std::vector<Work>*>(executable)) {
        if (Result result = enqueue(*stream, work)) {
            return result;
        }
    }
    return lasting_error();
}

EXPORT int cuGraphExecDestroy(void* executable) {
    MAY_FAIL;
    delete static_cast<std::vector<Work>*>(executable);
    return SUCCESS;
}

EXPORT int cuGraphDestroy(void* graph) { MAY_FAIL; return cuGraphExecDestroy(graph); }
