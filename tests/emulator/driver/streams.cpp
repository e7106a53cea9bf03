// Streams and events. By default a stream is lazy: its work runs as late as the model allows, at a call that waits for it. So a missing event, or a
// pinned buffer that is overwritten early, gives wrong results here rather than now and then on a device. EMULATOR_STREAMS=eager is the other extreme.
#include <algorithm>
#include <chrono>
#include <map>

#include "driver.h"

namespace {

std::map<void*, std::shared_ptr<Stream>>& streams() {
    static auto* known = new std::map<void*, std::shared_ptr<Stream>>{{nullptr, std::make_shared<Stream>()}};
    return *known;
}

Result failed = SUCCESS;

struct Event {
    bool timed = true;
    std::shared_ptr<Stream> stream;  // where it was recorded last
    uint64_t position = 0;           // the piece of work that records it
    std::shared_ptr<Capture> capture;
    uint64_t captured = 0;  // the work of the stream's capture at that time
    std::chrono::steady_clock::time_point when;

    bool is_done() const { return stream == nullptr || stream->done >= position; }
};

typedef std::shared_ptr<Event> EventPointer;

// Handles are pointers to shared pointers, so that work keeps an event that was destroyed.
EventPointer& event_of(void* handle) { return *static_cast<EventPointer*>(handle); }

// The default stream waits for every blocking stream, and they for it.
void order_with_default(Stream& stream) {
    auto wait_for = [&](const std::shared_ptr<Stream>& other) {
        uint64_t position = other->enqueued;
        if (other.get() != &stream && other->done < position) {
            stream.enqueued++;
            stream.queue.push_back([=] { return run_until(*other, position); });
        }
    };
    std::shared_ptr<Stream> standard = find_stream(nullptr);
    if (&stream == standard.get()) {
        for (auto& [handle, other] : streams()) {
            if (other->blocking && other->capture == nullptr) {
                wait_for(other);
            }
        }
    } else if (stream.blocking) {
        wait_for(standard);
    }
}

}  // namespace

std::shared_ptr<Stream> find_stream(void* handle) {
    bool standard = reinterpret_cast<uintptr_t>(handle) <= 2;
    auto found = streams().find(standard ? nullptr : handle);
    return found == streams().end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Stream>> all_streams() {
    std::vector<std::shared_ptr<Stream>> all;
    for (auto& [handle, stream] : streams()) {
        all.push_back(stream);
    }
    return all;
}

Result lasting_error() { return failed; }

Result enqueue(Stream& stream, Work work) {
    if (failed != SUCCESS) {
        return failed;
    }
    if (stream.capture != nullptr) {
        stream.capture->work.push_back(std::move(work));
        stream.captured++;
        return SUCCESS;
    }
    order_with_default(stream);
    stream.enqueued++;
    stream.queue.push_back(std::move(work));
    return settings().eager ? finish(stream) : SUCCESS;
}

Result run_until(Stream& stream, uint64_t position) {
    while (stream.done < position && !stream.queue.empty() && failed == SUCCESS) {
        Work work = std::move(stream.queue.front());
        stream.queue.pop_front();
        Result result = work();
        stream.done++;
        if (result != SUCCESS) {
            failed = result;
        }
    }
    return failed;
}

Result finish(Stream& stream) { return run_until(stream, stream.enqueued); }

Result finish_all() {
    for (auto& stream : all_streams()) {
        finish(*stream);
    }
    return failed;
}

EXPORT int cuStreamCreateWithPriority(void** handle, unsigned flags, int) {
    MAY_FAIL;
    ENTER;
    auto stream = std::make_shared<Stream>();
    stream->blocking = (flags & 1) == 0;  // CU_STREAM_NON_BLOCKING
    *handle = stream.get();
    streams()[*handle] = stream;
    return lasting_error();
}

EXPORT int cuStreamCreate(void** handle, unsigned flags) { MAY_FAIL; return cuStreamCreateWithPriority(handle, flags, 0); }

EXPORT int cuStreamDestroy_v2(void* handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr || stream == find_stream(nullptr)) {
        return INVALID_HANDLE;
    }
    Result result = finish(*stream);
    streams().erase(handle);
    return result;
}

EXPORT int cuStreamSynchronize(void* handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (Result result = forbid_on_capturing(*stream, "cuStreamSynchronize on a capturing stream")) {
        return result;
    }
    return finish(*stream);
}

EXPORT int cuStreamQuery(void* handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (failed == SUCCESS && stream->done < stream->enqueued) {
        run_until(*stream, stream->done + 1);  // who asks again and again comes to the end
        return NOT_READY;
    }
    return failed;
}

EXPORT int cuStreamWaitEvent(void* handle, void* event_handle, unsigned) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    EventPointer event = event_of(event_handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (event->stream == nullptr) {
        return SUCCESS;  // never recorded
    }
    if (event->capture != nullptr && stream->capture == nullptr) {  // the stream joins the capture
        stream->capture = event->capture;
        stream->captured = stream->joined = 0;
        return SUCCESS;
    }
    if (stream->capture != event->capture) {
        stream->capture->invalid = true;
        return refuse(CAPTURE_ISOLATION, "a capturing stream waits for an event that was recorded outside its capture");
    }
    if (stream->capture != nullptr) {
        event->stream->joined = std::max(event->stream->joined, event->captured);
        return SUCCESS;  // the capture keeps the order in which work was recorded
    }
    auto recorded_on = event->stream;
    uint64_t position = event->position;
    return enqueue(*stream, [=] { return run_until(*recorded_on, position); });
}

EXPORT int cuLaunchHostFunc(void* handle, void (*function)(void*), void* data) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(handle);
    return stream == nullptr ? INVALID_HANDLE : enqueue(*stream, [=] {
        function(data);
        return SUCCESS;
    });
}

EXPORT int cuEventCreate(void** handle, unsigned flags) {
    MAY_FAIL;
    ENTER;
    auto event = std::make_shared<Event>();
    event->timed = (flags & 2) == 0;  // CU_EVENT_DISABLE_TIMING
    *handle = new EventPointer(event);
    return lasting_error();
}

EXPORT int cuEventDestroy_v2(void* handle) {
    MAY_FAIL;
    ENTER;
    delete static_cast<EventPointer*>(handle);
    return lasting_error();
}

EXPORT int cuEventRecord(void* handle, void* stream_handle) {
    MAY_FAIL;
    ENTER;
    auto stream = find_stream(stream_handle);
    EventPointer event = event_of(handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    event->stream = stream;
    event->capture = stream->capture;
    if (stream->capture != nullptr) {
        event->captured = stream->captured;
        return SUCCESS;
    }
    order_with_default(*stream);
    event->position = stream->enqueued + 1;
    return enqueue(*stream, [=] {
        event->when = std::chrono::steady_clock::now();
        return SUCCESS;
    });
}

EXPORT int cuEventSynchronize(void* handle) {
    MAY_FAIL;
    ENTER;
    EventPointer event = event_of(handle);
    if (event->capture != nullptr) {
        return refuse(CAPTURE_UNSUPPORTED, "cuEventSynchronize on an event of a capture");
    }
    return event->is_done() ? failed : run_until(*event->stream, event->position);
}

EXPORT int cuEventQuery(void* handle) {
    MAY_FAIL;
    ENTER;
    EventPointer event = event_of(handle);
    if (failed == SUCCESS && !event->is_done()) {
        run_until(*event->stream, event->stream->done + 1);  // who asks again and again comes to the end
        return NOT_READY;
    }
    return failed;
}

// Of the two versions the one that drivers before CUDA 12.8 have, too.
EXPORT int cuEventElapsedTime(float* milliseconds, void* begin_handle, void* end_handle) {
    MAY_FAIL;
    ENTER;
    EventPointer begin = event_of(begin_handle), end = event_of(end_handle);
    if (!begin->timed || !end->timed || begin->stream == nullptr || end->stream == nullptr) {
        return refuse(INVALID_HANDLE, "elapsed time of an event that was not recorded, or was created without timing");
    }
    if (!begin->is_done() || !end->is_done()) {
        return NOT_READY;
    }
    *milliseconds = std::chrono::duration<float, std::milli>(end->when - begin->when).count();
    return failed;
}
