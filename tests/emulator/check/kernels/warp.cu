// Every shuffle and vote of a warp; several blocks of three dimensions; named barriers of the block.
#include "common/reduce.cuh"

constexpr int RESULTS = 10;

extern "C" __global__ void exchanges(int* output) {
    int lane = threadIdx.x;
    int* own = output + lane * RESULTS;
    own[0] = __shfl_sync(ALL_LANES, lane * 3, 5);
    own[1] = __shfl_xor_sync(ALL_LANES, lane * 3, 9);
    own[2] = __shfl_up_sync(ALL_LANES, lane * 3, 4);
    own[3] = __shfl_down_sync(ALL_LANES, lane * 3, 4);
    own[4] = __shfl_down_sync(ALL_LANES, lane * 3, 3, 8);
    own[5] = __shfl_sync(ALL_LANES, lane * 3, 9, 8);
    own[6] = static_cast<int>(__ballot_sync(ALL_LANES, lane % 3 == 0));
    own[7] = __any_sync(ALL_LANES, lane == 7) + 2 * __all_sync(ALL_LANES, lane < 32) + 4 * __all_sync(ALL_LANES, lane < 31);
    own[8] = 0;
    if (lane % 2 == 0) {  // half a warp may act alone if the mask says so
        own[8] = __shfl_xor_sync(0x55555555u, lane, 2);
    }
    own[9] = static_cast<int>(warp_reduce<Sum, 8>(static_cast<float>(lane)));
}

extern "C" __global__ void places(int* output, int count) {
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int threads = blockDim.x * blockDim.y * blockDim.z;
    atomicAdd(output + block * threads + thread, 1);
    if (thread == 0 && block == 0) {
        output[count] = blockDim.z * 100 + gridDim.z;
    }
}
