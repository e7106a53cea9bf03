// The host meaning of ldmatrix and mma.sync (kernels/common/mma.cuh). The whole warp must take part.
#pragma once

namespace emulator {

// The type of the factors of a product.
enum class Factor { f16, bf16 };

// `count` 8x8 matrices (2 or 4) into the first `count` registers of `fragment`.
void load_matrices(unsigned* fragment, int count, const void* row, bool transposed);

void mma_m16n8k16(float* sum, const unsigned* a, unsigned b0, unsigned b1, Factor factor);

}  // namespace emulator
