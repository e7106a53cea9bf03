// The functions of common/cluster.cuh together, with the mistakes that are made with them. -DMISTAKE=0 makes none.
#include "common/cluster.cuh"

constexpr int EARLY_OVERWRITE = 1, EARLY_START = 2, EARLY_END = 3, MISSING_ARRIVAL = 4, MISSING_BLOCK = 5, BYTES_OF_ONE_BLOCK = 6, STATIC_MEMORY = 7;

constexpr int BLOCKS = 2, STAGES = 2, ELEMENTS = 64 * 8, BOX_BYTES = ELEMENTS * 2, STAGE_BYTES = BLOCKS * BOX_BYTES;

// A ring that two blocks fill together: in each round each of them brings one box of 8 rows for both, and both write all that the round has brought.
// map: boxes of 64, 1 and 8 elements of 16 bits; output [blocks of the grid, rounds, BLOCKS, 8, 64]. 64 threads: the second warp copies, the first reads.
extern "C" __global__ void __cluster_dims__(BLOCKS, 1, 1) shared_boxes(const __grid_constant__ TensorMap map, unsigned short* output, int rounds) {
    DYNAMIC_SHARED(unsigned char, shared);
    Barrier *full = reinterpret_cast<Barrier*>(shared + STAGES * STAGE_BYTES), *empty = full + STAGES;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; stage++) {
            barrier_init(full + stage, 1);
            barrier_init(empty + stage, MISTAKE == EARLY_OVERWRITE ? 1 : BLOCKS);
        }
        publish_barriers();
    }
    if (MISTAKE == EARLY_START) __syncthreads();
    else synchronize_cluster();
    if (MISTAKE == STATIC_MEMORY) {
        __shared__ volatile int number;
        number = threadIdx.x;
    }
    int own = block_of_cluster(), first = blockIdx.x / BLOCKS * rounds, lane = threadIdx.x % 32;
    for (int round = 0; round < rounds && threadIdx.x <= 32; round++) {
        int stage = round % STAGES, parity = round / STAGES % 2;
        unsigned char* boxes = shared + stage * STAGE_BYTES;
        if (threadIdx.x == 32) {
            barrier_wait(empty + stage, parity ^ 1);
            barrier_arrive_expecting(full + stage, MISTAKE == BYTES_OF_ONE_BLOCK ? BOX_BYTES : STAGE_BYTES);
            copy_box_to(MISTAKE == MISSING_BLOCK ? 1 << own : 3, boxes + own * BOX_BYTES, map, full + stage, 0, 0, ((first + round) * BLOCKS + own) * 8);
            continue;
        }
        barrier_wait(full + stage, parity);
        for (int i = lane; i < BLOCKS * ELEMENTS; i += 32) {
            int row = i / 64, place = row * 64 + (i % 64 / 8 ^ row % 8) * 8 + i % 8;
            output[(blockIdx.x * rounds + round) * BLOCKS * ELEMENTS + i] = reinterpret_cast<unsigned short*>(boxes)[place];
        }
        __syncwarp();
        // Who frees a stage for its own block alone lets the other overwrite what was not read yet, or waits for ever for the other.
        if (MISTAKE == EARLY_OVERWRITE || MISTAKE == MISSING_ARRIVAL) {
            if (lane == 0) barrier_arrive(empty + stage);
        } else if (lane < BLOCKS) {
            barrier_arrive_at(empty + stage, lane);
        }
    }
    if (MISTAKE != EARLY_END) synchronize_cluster();
}
