// Launched by src/ops/shape/cuda.rs.
//
// Copies of runs (joining and cutting along an axis) and rows of a table. No arithmetic but the sums of the table's gradient.
//
// shape_copy: out[outer · out_row + out_start + i] = x[outer · x_row + x_start + i] for i < run, all in units of 16, 4 or 2 bytes, whatever they hold.
// Grid: x = outer · run / 256; reads and writes each element once. embedding: table [rows, width], ids [count] i32 in range, out [count, width]; grid
// x = count (gradient: x = rows), 256 threads over the width. The gradient is dense; a row adds its shares in the order of the ids.
// Floor: the bytes copied over the memory's bandwidth.
#include "common/scalar.cuh"

template <class Unit>
__device__ __forceinline__ void copy_run(const void* x, void* out, int outer, int run, int x_row, int x_start, int out_row, int out_start) {
    size_t index = (size_t)blockIdx.x * 256 + threadIdx.x, row = index / run, i = index - row * run;
    if (row < outer) static_cast<Unit*>(out)[row * out_row + out_start + i] = static_cast<const Unit*>(x)[row * x_row + x_start + i];
}

extern "C" __global__ void __launch_bounds__(256) shape_copy(const void* x, void* out, int unit, int outer, int run, int x_row, int x_start, int out_row, int out_start) {
    if (unit == 16) copy_run<uint4>(x, out, outer, run, x_row, x_start, out_row, out_start);
    else if (unit == 4) copy_run<unsigned>(x, out, outer, run, x_row, x_start, out_row, out_start);
    else copy_run<unsigned short>(x, out, outer, run, x_row, x_start, out_row, out_start);
}

template <class Unit>
__device__ __forceinline__ void pad_run(const void* x, void* out, int outer, int run, int out_row, int out_start) {
    size_t index = (size_t)blockIdx.x * 256 + threadIdx.x, row = index / out_row;
    int i = (int)(index - row * out_row) - out_start;
    if (row < outer) static_cast<Unit*>(out)[index] = i >= 0 && i < run ? static_cast<const Unit*>(x)[row * run + i] : Unit{};
}

// The transpose of a cut: x [outer, run] with zeros around it, out [outer, out_row]. Grid: x = outer · out_row / 256.
extern "C" __global__ void __launch_bounds__(256) shape_pad(const void* x, void* out, int unit, int outer, int run, int out_row, int out_start) {
    if (unit == 16) pad_run<uint4>(x, out, outer, run, out_row, out_start);
    else if (unit == 4) pad_run<unsigned>(x, out, outer, run, out_row, out_start);
    else pad_run<unsigned short>(x, out, outer, run, out_row, out_start);
}

extern "C" __global__ void __launch_bounds__(256) embedding_forward(const element* table, const int* ids, element* out, int width) {
    for (int i = threadIdx.x; i < width; i += 256) out[(size_t)blockIdx.x * width + i] = table[(size_t)ids[blockIdx.x] * width + i];
}

extern "C" __global__ void __launch_bounds__(256) embedding_gradient(const int* ids, const element* gradient, element* to_table, int count, int width) {
    for (int i = threadIdx.x; i < width; i += 256) {
        float sum = 0.0f;
        for (int index = 0; index < count; index++)
            if (ids[index] == (int)blockIdx.x) sum += load(gradient[(size_t)index * width + i]);
        to_table[(size_t)blockIdx.x * width + i] = store<element>(sum);
    }
}
