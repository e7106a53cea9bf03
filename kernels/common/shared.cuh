// Dynamic shared memory, and the widths that every kernel counts with.
#pragma once

// Threads of a warp, and the mask that names them all.
constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

// Declares `type* name`: the block's dynamic shared memory, aligned to 1024 bytes (what a 128-byte swizzle needs), as many bytes as the launch asked
// for. Contents are undefined at the start of a block. Use it once per kernel and cut the parts out of it by offset.
// Under the emulator the macro exists already (tests/emulator/include/emulator/shared.h).
#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(type, name)                                          \
    extern __shared__ __align__(1024) unsigned char dynamic_shared_bytes[]; \
    type* name = reinterpret_cast<type*>(dynamic_shared_bytes)
#endif
