// Conversions, reductions and random numbers of kernels/common.
#include "common/philox.cuh"
#include "common/reduce.cuh"
#include "common/scalar.cuh"

extern "C" __global__ void widen(const element* input, float* output, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) {
        output[i] = load(input[i]);
    }
}

extern "C" __global__ void narrow(const float* input, element* output, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) {
        output[i] = store<element>(input[i]);
    }
}

// output: of every thread, its block's sum, maximum, and the two sums of (x, 2x).
extern "C" __global__ void reduce(const float* input, float4* output) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float x = input[i];
    float sum = block_sum(x), most = block_max(x);
    float2 both = block_sum(make_float2(x, 2.0f * x));
    output[i] = make_float4(sum, most, both.x, both.y);
}

extern "C" __global__ void normal(float4* output, uint2 key, uint2 nonce, int blocks) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < blocks) {
        output[i] = normal_block(key, nonce, i);
    }
}
