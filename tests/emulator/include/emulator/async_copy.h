// The host meaning of cp.async (kernels/common/mma.cuh). A copy lands as late as the model allows: when its thread waits for its group. Until then the
// destination is poisoned.
#pragma once

namespace emulator {

void copy_async(void* shared, const void* global, unsigned bytes, unsigned valid);
void copy_async_commit();
void copy_async_wait(unsigned pending);

}  // namespace emulator
