// Shared memory. At the start of each block all of it, static and dynamic, is 0xff in every byte: NaN in every float type, -1 as an integer.
#pragma once

// Only one cluster runs at a time, so one copy of each variable is enough for a cluster of one block; larger ones keep to dynamic shared memory. CUDA
// allows no initial value, so all of them lie in the .bss of the compiled source, whose bounds the engine knows (entry.h). That is why a kernel may have
// no writable variable of its own outside __shared__ memory.
#define __shared__ static

// As in kernels/common/shared.cuh.
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(emulator::block->dynamic)
