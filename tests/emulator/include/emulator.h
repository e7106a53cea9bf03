// The CUDA execution model on the CPU, for kernels that stay as they are: g++ includes this file before a `kernels/*.cu` (-include emulator.h).
// Each CUDA thread is a fiber; blocks run one after the other on one thread of the host. Like NVRTC, it brings no standard header: a kernel that
// needs <cstdint> or std:: fails here as it would there. See ../README.md.
#pragma once
#define CUDA_EMULATOR 1

#include "emulator/words.h"
#include "emulator/types.h"
#include "emulator/engine.h"
#include "emulator/shared.h"
#include "emulator/math.h"
#include "emulator/atomic.h"
#include "emulator/warp.h"
#include "emulator/async_copy.h"
#include "emulator/matrix.h"
#include "emulator/hopper.h"
