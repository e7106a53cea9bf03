// What every attention kernel is given, and where a block finds its head in it. Shapes: q [batch, rows, heads · width]; k, v [batch, columns, heads · width];
// marks [batch, columns] and weights [batch, rows] in f32, or null. Weights apply to marked columns. With `causal`, row i sees columns 0..=i.
#pragma once
#include "common/scalar.cuh"

// Stands for minus infinity.
constexpr float LOWEST = -3.402823466e38f;

struct Inputs {
    const element* q;
    const element* k;
    const element* v;
    const float* marks;
    const float* probability;
    const float* logit;
    int heads, rows, columns, width, causal;
    float scale;

    __device__ size_t row_offset() const { return (size_t)blockIdx.z * rows * heads * width + (size_t)blockIdx.y * width; }
    __device__ size_t column_offset() const { return (size_t)blockIdx.z * columns * heads * width + (size_t)blockIdx.y * width; }
    __device__ size_t statistics_offset() const { return ((size_t)blockIdx.z * heads + blockIdx.y) * rows; }
    __device__ bool visible(int row, int column) const { return row < rows && column < columns && (!causal || column <= row); }
    __device__ bool marked(int column) const { return marks[(size_t)blockIdx.z * columns + column] != 0.0f; }
    // What the logit of a visible pair is multiplied by beyond the scale.
    __device__ float logit_weight(int row, int column) const { return logit && marked(column) ? logit[(size_t)blockIdx.z * rows + row] : 1.0f; }
    __device__ float probability_weight(int row, int column) const {
        return probability && marked(column) ? probability[(size_t)blockIdx.z * rows + row] : 1.0f;
    }
};
