// What the lanes of a warp tell each other, and where threads think they are.
#include "check.h"

namespace {

void exchanges(int) {
    constexpr int results = 10;
    Array<int> output(32 * results);
    launch(Kernels("warp.cu").function("exchanges"), {1, 32}, output.pointer());
    std::vector<int> found = output.values();
    unsigned thirds = 0;
    for (int lane = 0; lane < 32; lane += 3) {
        thirds |= 1u << lane;
    }
    for (int lane = 0; lane < 32; ++lane) {
        int eighth = lane / 8 * 8;
        int expected[results] = {15,
                                 (lane ^ 9) * 3,
                                 (lane < 4 ? lane : lane - 4) * 3,
                                 (lane > 27 ? lane : lane + 4) * 3,
                                 (lane % 8 > 4 ? lane : lane + 3) * 3,
                                 (eighth + 1) * 3,
                                 static_cast<int>(thirds),
                                 1 + 2,
                                 lane % 2 == 0 ? lane ^ 2 : 0,
                                 eighth * 8 + 28};
        for (int i = 0; i < results; ++i) {
            int value = found[static_cast<size_t>(lane * results + i)];
            require(value == expected[i], "lane %d, result %d: expected %d, found %d", lane, i, expected[i], value);
        }
    }
}

void places(int) {
    constexpr int count = 2 * 3 * 4 * 5 * 6 * 7;
    Array<int> output(count + 1);
    CALL(cuMemsetD32Async(output.pointer(), 0, count + 1, nullptr));
    DevicePointer pointer = output.pointer();
    int last = count;
    void* parameters[] = {&pointer, &last};
    CALL(cuLaunchKernel(Kernels("warp.cu").function("places"), 2, 3, 4, 5, 6, 7, 0, nullptr, parameters, nullptr));
    std::vector<int> found = output.values();
    for (int i = 0; i < count; ++i) {
        require(found[static_cast<size_t>(i)] == 1, "thread %d ran %d times", i, found[static_cast<size_t>(i)]);
    }
    require(found[count] == 704, "blockDim.z and gridDim.z: %d", found[count]);
}

}  // namespace

std::vector<Case> warp_cases() { return {{"exchanges", exchanges}, {"places", places}}; }
