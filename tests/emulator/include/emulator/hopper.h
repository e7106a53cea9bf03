// The host meaning of kernels/common/hopper.cuh and cluster.cuh: barriers in shared memory, copies of boxes, products of a warpgroup, clusters of blocks. What is asynchronous happens as
// late as the model allows, or, with EMULATOR_ORDER=reverse, at once: a box lands when no thread can run without it, a product is carried out when its
// warp waits for it. Until then the destination is poisoned.
#pragma once
#include "matrix.h"

namespace emulator {

// The address in the shared window: that of dynamic shared memory only.
unsigned shared_address(const void* pointer);

void barrier_init(void* barrier, unsigned arrivals);
void publish_barriers();
void barrier_arrive(void* barrier, unsigned bytes);
bool barrier_try_wait(void* barrier, unsigned parity);

// `at`: the coordinates of the box's first element, innermost first.
void copy_box(void* shared, const void* map, void* barrier, int rank, const int* at);
void prefetch(const void* map);

unsigned block_of_cluster();
void synchronize_cluster();
// As those above, on what lies at the same place in the shared memory of another block of the cluster, or of all whose bit is set.
void barrier_arrive_at(void* barrier, unsigned block);
void copy_box_to(unsigned blocks, void* shared, const void* map, void* barrier, int rank, const int* at);

// The whole warpgroup.
void change_registers(unsigned count, bool more);

void products_fence();
void products_commit();
void products_wait(unsigned pending);

// The whole warpgroup: `sums` are the columns / 2 of this thread. `across`: b is MN-major, as wgmma's last operand 1 says.
void multiply(float* sums, unsigned columns, unsigned long long a, unsigned long long b, bool add, Factor factor, bool across);

}  // namespace emulator
