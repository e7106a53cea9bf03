// Launched by src/tensor/cuda.rs.
//
// tensor_to_…: y = x rounded to another element type (to nearest, ties to even). tensor_add: sum = a + b, how gradients of one value are added.
//
// Shapes: x, y, a, b, sum [count]. Grid: x = count / 1024, 256 threads; reads and writes each element once.
// Floor: the bytes read and written over the memory's bandwidth.
#include "common/flat.cuh"

extern "C" __global__ void __launch_bounds__(256) tensor_to_f32(const element* x, float* y, size_t count) {
    map_flat(x, y, count, [](float value) { return value; });
}

extern "C" __global__ void __launch_bounds__(256) tensor_to_f16(const element* x, f16* y, size_t count) {
    map_flat(x, y, count, [](float value) { return value; });
}

extern "C" __global__ void __launch_bounds__(256) tensor_to_bf16(const element* x, bf16* y, size_t count) {
    map_flat(x, y, count, [](float value) { return value; });
}

extern "C" __global__ void __launch_bounds__(256) tensor_add(const element* a, const element* b, element* sum, size_t count) {
    map_flat(a, b, sum, count, [](float left, float right) { return left + right; });
}
