// Clusters (sm_90): neighbouring blocks of a grid that run at the same time and reach each other's shared memory. A box of a tensor may land in that of
// all of them (multicast), which the second-level cache then gives once, and an arrival at a barrier may go to another block's. All of this inline PTX
// stands here; each function has a host meaning in tests/emulator/include/emulator/hopper.h, called where the PTX stands. Sections are those of the PTX
// ISA 9.0; nothing of it was seen on hardware so far.
#pragma once
#include "common/hopper.cuh"

// This block's number in its cluster, from 0 ("Special Registers: %cluster_ctarank").
__device__ __forceinline__ unsigned block_of_cluster() {
#ifdef CUDA_EMULATOR
    return emulator::block_of_cluster();
#else
    unsigned number;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(number));
    return number;
#endif
}

// Waits until every thread of the cluster that has not ended is here; what each did before comes before what any does after ("barrier.cluster"). Before
// it no other block may be sent to, since its barriers may not be made; a block may not end before nobody sends to it any more.
__device__ __forceinline__ void synchronize_cluster() {
#ifdef CUDA_EMULATOR
    emulator::synchronize_cluster();
#else
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}

// One arrival at the barrier that lies in the block `block` of the cluster where `barrier` lies in this one ("mapa", "mbarrier.arrive"). It says that what
// this thread waited for is over, such as products that read a box. It orders no memory that this thread wrote before the other block's reads: the scope
// is that of the block, since that of the cluster is a fence for the whole GPU (MEMBAR.ALL.GPU in the machine code) at every step of a main loop.
__device__ __forceinline__ void barrier_arrive_at(Barrier* barrier, unsigned block) {
#ifdef CUDA_EMULATOR
    emulator::barrier_arrive_at(&barrier->state, block);
#else
    asm volatile("{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\nmbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(
                     shared_address(barrier)),
                 "r"(block)
                 : "memory");
#endif
}

// As `copy_box`, to the same place in the shared memory of each block of the cluster whose bit is set in `blocks`; in each of them the barrier that lies
// where `full` lies in this one receives the bytes of the whole box, which it may do before they are announced there ("cp.async.bulk.tensor",
// .multicast::cluster).
__device__ __forceinline__ void copy_box_to(unsigned blocks, void* shared, const TensorMap& map, Barrier* full, int x0, int x1, int x2) {
#ifdef CUDA_EMULATOR
    int at[] = {x0, x1, x2};
    emulator::copy_box_to(blocks, shared, &map, &full->state, 3, at);
#else
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(
            shared_address(shared)),
        "l"(&map), "r"(shared_address(full)), "r"(x0), "r"(x1), "r"(x2), "h"((unsigned short)blocks)
        : "memory");
#endif
}
