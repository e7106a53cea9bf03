// Shuffles, votes and __syncwarp. All lanes of the mask that have not finished must call the same operation; a shuffle from a lane that takes no part
// fails, as its result is undefined on the device.
#pragma once

namespace emulator {

// What a lane brings to a shuffle and takes from it.
struct Shuffled {
    unsigned long long given, received;
    int source;  // the lane to read
    bool valid;
};

EMULATOR_ONE_FOR_ALL inline void shuffle_lanes(void* const* arguments, unsigned lanes) {
    for (int lane = 0; lane < 32; ++lane) {
        if (lanes >> lane & 1) {
            Shuffled& own = *static_cast<Shuffled*>(arguments[lane]);
            own.valid = lanes >> own.source & 1;
            if (own.valid) {
                own.received = static_cast<Shuffled*>(arguments[own.source])->given;
            }
        }
    }
}

template <class T>
inline T shuffle(unsigned mask, const char* operation, T value, int source) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 4 or 8 bytes");
    Shuffled own = {0, 0, source, false};
    __builtin_memcpy(&own.given, &value, sizeof value);
    act_as_warp(mask, operation, &own, shuffle_lanes);
    if (!own.valid) {
        fail("%s reads lane %d, which takes no part", operation, source);
    }
    __builtin_memcpy(&value, &own.received, sizeof value);
    return value;
}

// What a lane brings to a vote and takes from it.
struct Vote {
    bool given;
    unsigned result;
};

EMULATOR_ONE_FOR_ALL inline void vote_lanes(void* const* arguments, unsigned lanes) {
    unsigned result = 0;
    for (int lane = 0; lane < 32; ++lane) {
        if (lanes >> lane & 1) {
            result |= static_cast<unsigned>(static_cast<Vote*>(arguments[lane])->given) << lane;
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        if (lanes >> lane & 1) {
            static_cast<Vote*>(arguments[lane])->result = result;
        }
    }
}

void synchronize_warp(unsigned mask);

}  // namespace emulator

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    int lane = emulator::thread->lane;
    return emulator::shuffle(mask, "__shfl_sync", value, (lane & ~(width - 1)) | (source & (width - 1)));
}

template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32) {
    int lane = emulator::thread->lane, source = lane ^ distance;
    return emulator::shuffle(mask, "__shfl_xor_sync", value, (source & ~(width - 1)) > (lane & ~(width - 1)) ? lane : source);
}

template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32) {
    int lane = emulator::thread->lane;
    bool inside = (lane & (width - 1)) + static_cast<int>(distance) < width;
    return emulator::shuffle(mask, "__shfl_down_sync", value, inside ? lane + static_cast<int>(distance) : lane);
}

template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32) {
    int lane = emulator::thread->lane;
    bool inside = (lane & (width - 1)) >= static_cast<int>(distance);
    return emulator::shuffle(mask, "__shfl_up_sync", value, inside ? lane - static_cast<int>(distance) : lane);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
    emulator::Vote own = {predicate != 0, 0};
    emulator::act_as_warp(mask, "__ballot_sync", &own, emulator::vote_lanes);
    return own.result;
}

inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }

inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

inline void __syncwarp(unsigned mask = 0xffffffffu) { emulator::synchronize_warp(mask); }
