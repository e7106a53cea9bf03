// Where a matrix product's results go, and what is added to them on the way.
#pragma once
#include "common/runs.cuh"

// What a sum passes through: `Epilogue::code` of src/ops/linear/cuda.rs.
enum Activation { NONE, SILU, QUICK_GELU, GELU, GEGLU };

__device__ __forceinline__ float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }

__device__ __forceinline__ float activated(float x, int activation) {
    switch (activation) {
        case SILU: return x * (1.0f / (1.0f + expf(-x)));
        case QUICK_GELU: return x * (1.0f / (1.0f + expf(-1.702f * x)));
        case GELU: return gelu(x);
        default: return x;
    }
}

// out [M, N] = f(scale · sum + bias + per_group) + residual.
// bias [N]; per_group [M / group_rows, N]; residual [M, N]; null where absent. With `parts` [splits, M, N] the bare sums of this share of the depth go
// there instead.
// A gated product (GEGLU) has halves of N / 2 columns, value and gate; out [M, N / 2] = value · gelu(gate). It has no parts and no other terms than the bias.
struct Destination {
    element* out;
    float* parts;
    const element* bias;
    const element* per_group;
    const element* residual;
    float scale;
    int rows, columns, group_rows, activation;

    __device__ __forceinline__ void finish(int row, int column, float sum) const {
        size_t at = (size_t)row * columns + column;
        sum *= scale;
        if (bias) sum += load(bias[column]);
        if (per_group) sum += load(per_group[(size_t)(row / group_rows) * columns + column]);
        sum = activated(sum, activation);
        if (residual) sum += load(residual[at]);
        out[at] = store<element>(sum);
    }
    __device__ __forceinline__ void write(int row, int column, float sum) const {
        if (row >= rows || column >= columns) return;
        if (parts) parts[((size_t)blockIdx.z * rows + row) * columns + column] = sum;
        else finish(row, column, sum);
    }

    __device__ __forceinline__ float gated(int column, float value, float gate) const {
        value *= scale;
        gate *= scale;
        if (bias) {
            value += load(bias[column]);
            gate += load(bias[columns / 2 + column]);
        }
        return value * gelu(gate);
    }

    // Two neighbouring columns: of a gated product a value and its gate (DenseAlong's lanes 2 i and 2 i + 1).
    __device__ __forceinline__ void write_pair(int row, int column, float first, float second) const {
        if (activation != GEGLU) {
            write(row, column, first);
            write(row, column + 1, second);
        } else if (row < rows && column < columns) {
            out[(size_t)row * (columns / 2) + column / 2] = store<element>(gated(column / 2, first, second));
        }
    }

    // The same for PACK neighbouring columns at once, from memory in 16 bytes; columns are whole packs, `row` is one of the result's.
    __device__ __forceinline__ void write_run(int part, int row, int column, float (&sums)[PACK]) const {
        if (column >= columns) return;
        size_t at = (size_t)row * columns + column;
        if (parts) {
            Pack<float, 4>* to = reinterpret_cast<Pack<float, 4>*>(parts + (size_t)part * rows * columns + at);
#pragma unroll
            for (int i = 0; i < PACK / 4; i++) to[i] = {sums[i * 4], sums[i * 4 + 1], sums[i * 4 + 2], sums[i * 4 + 3]};
            return;
        }
        const element* terms[] = {bias ? bias + column : nullptr, per_group ? per_group + (size_t)(row / group_rows) * columns + column : nullptr,
                                  residual ? residual + at : nullptr};
#pragma unroll
        for (int i = 0; i < PACK; i++) sums[i] *= scale;
#pragma unroll
        for (int term = 0; term < 3; term++) {
            if (term == 2 && activation) {
#pragma unroll
                for (int i = 0; i < PACK; i++) sums[i] = activated(sums[i], activation);
            }
            if (!terms[term]) continue;
            float added[PACK];
            load_run(added, terms[term]);
#pragma unroll
            for (int i = 0; i < PACK; i++) sums[i] += added[i];
        }
        store_run(out + at, sums);
    }
};

// Adds the parts in their order. Grid: x over the elements, 256 threads.
__device__ __forceinline__ void add_parts(const Destination& to, int splits) {
    size_t elements = (size_t)to.rows * to.columns, i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= elements) return;
    float sum = 0.0f;
    for (int part = 0; part < splits; part++) sum += to.parts[part * elements + i];
    to.finish(i / to.columns, i % to.columns, sum);
}
