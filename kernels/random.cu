// Launched by src/ops/random/cuda.rs.
// supports: sm_75+; f32
//
// Standard normal numbers of named streams (common/philox.cuh), bit for bit those of the CPU.
//
// Shapes: names [streams, 4]: two key words, two nonce words; numbers [streams, size]. Grid: x = size / 1024, y = streams; 256 threads, each one block of
// Philox, four numbers. Writes each number once. Floor: about 90 integer and 60 float instructions for four numbers; the memory's bandwidth is near.
#include "common/philox.cuh"

extern "C" __global__ void __launch_bounds__(256) random_normal(const int* names, float* numbers, size_t size) {
    const int* name = names + 4 * blockIdx.y;
    uint2 key = make_uint2(name[0], name[1]), nonce = make_uint2(name[2], name[3]);
    size_t block = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * block >= size) return;
    float4 four = normal_block(key, nonce, block);
    float values[4] = {four.x, four.y, four.z, four.w};
    float* to = numbers + blockIdx.y * size + 4 * block;
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (4 * block + i < size) to[i] = values[i];
}
