// Launched by src/ops/attention/cuda.rs.
//
// Multi-head attention with optional weights on any architecture, in any type, for any width (up to what shared memory holds) and number of columns:
//   l = logit weight · scale · q kᵀ,  p = softmax(l),  output = (probability weight · p) v
//   D = row sum of dO∘O,  dP = weight∘(dO vᵀ),  dS = p∘(dP - D)
//   dq = scale · (logit weight∘dS) k,  dk = scale · (logit weight∘dS)ᵀ q,  dv = (weight∘p)ᵀ dO
//
// Shapes: as in common/attention_inputs.cuh; output as q; statistics [batch, heads, rows, 2] f32 = largest logit, 1 / sum of e^(logit - largest);
// corrections [batch, heads, rows] f32 = D, for the tensor-core kernels of attention.cu, too. Sums run in a fixed order; no probability reaches memory.
// Grid: x = tiles of OWN rows (forward, to_q) or columns (to_k, to_v), y = heads, z = batch; 128 threads. The own side is read once, the other side once
// per own tile. Shared memory: OWN · width floats of sums and 12.8 KiB of tiles, 45 KiB at width 512. Two shared loads a product: a fraction of the floor.
// Floor: 4 · rows · columns · width FLOP a head forward, 10 · backward.
#include "common/attention_inputs.cuh"
#include "common/reduce.cuh"

constexpr int OWN = 16;
constexpr int OTHER = 32;
constexpr int DEPTH = 32;
constexpr int THREADS = 128;
constexpr int PITCH = 33;

// Vectors of one head: `count` of them, `stride` elements apart.
struct Vectors {
    const element* first;
    int count, stride, width;
};

struct Tiles {
    float* sums;        // [OWN, width]
    float* products;    // [OWN, PITCH]
    float* gradients;   // [OWN, PITCH]
    float* own_part;    // [OWN, PITCH]
    float* other_part;  // [OTHER, PITCH]
    float* corrections; // [OWN]

    __device__ Tiles(float* shared, int width) {
        sums = shared;
        products = sums + OWN * width;
        gradients = products + OWN * PITCH;
        own_part = gradients + OWN * PITCH;
        other_part = own_part + OWN * PITCH;
        corrections = other_part + OTHER * PITCH;
    }
};

// part [rows, DEPTH] = a tile of the vectors; zeros outside.
__device__ void read_part(Vectors vectors, int first, int rows, int depth, float* part) {
    for (int i = threadIdx.x; i < rows * DEPTH; i += THREADS) {
        int row = i / DEPTH, d = depth + i % DEPTH;
        bool inside = first + row < vectors.count && d < vectors.width;
        part[row * PITCH + i % DEPTH] = inside ? load(vectors.first[(size_t)(first + row) * vectors.stride + d]) : 0.0f;
    }
}

// out [OWN, OTHER] = own · otherᵀ. Each thread keeps the four results of its lane's other vector.
__device__ void multiply(Vectors own, int first_own, Vectors other, int first_other, Tiles tiles, float* out) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int depth = 0; depth < own.width; depth += DEPTH) {
        __syncthreads();
        read_part(own, first_own, OWN, depth, tiles.own_part);
        read_part(other, first_other, OTHER, depth, tiles.other_part);
        __syncthreads();
        for (int d = 0; d < DEPTH; d++) {
            float right = tiles.other_part[lane * PITCH + d];
#pragma unroll
            for (int i = 0; i < 4; i++) sums[i] += tiles.own_part[(warp + 4 * i) * PITCH + d] * right;
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) out[(warp + 4 * i) * PITCH + lane] = sums[i];
}

// sums [OWN, width] = correction · sums + tile [OWN, OTHER] · other.
__device__ void accumulate(const float* tile, Vectors other, int first_other, Tiles tiles, const float* corrections) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int depth = 0; depth < other.width; depth += DEPTH) {
        __syncthreads();
        read_part(other, first_other, OTHER, depth, tiles.other_part);
        __syncthreads();
        if (depth + lane >= other.width) continue;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int own = warp + 4 * i;
            float* sum = tiles.sums + own * other.width + depth + lane;
            float total = corrections ? *sum * corrections[own] : *sum;
            for (int j = 0; j < OTHER; j++) total += tile[own * PITCH + j] * tiles.other_part[j * PITCH + lane];
            *sum = total;
        }
    }
}

__device__ void clear(float* sums, int count) {
    for (int i = threadIdx.x; i < count; i += THREADS) sums[i] = 0.0f;
}

// Writes factor[own] · sums, or factor · sums.
__device__ void write_sums(Tiles tiles, const float* factors, float factor, element* out, Vectors own, int first_own) {
    __syncthreads();
    for (int i = threadIdx.x; i < OWN * own.width; i += THREADS) {
        int row = i / own.width;
        if (first_own + row >= own.count) break;
        out[(size_t)(first_own + row) * own.stride + i % own.width] = store<element>(tiles.sums[i] * (factors ? factors[row] : factor));
    }
}

extern "C" __global__ void __launch_bounds__(128) attention_plain_forward(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, element* output, float* statistics, int heads, int rows, int columns, int width, int causal, float scale) {
    DYNAMIC_SHARED(float, shared);
    Inputs in = {q, k, v, marks, probability, logit, heads, rows, columns, width, causal, scale};
    Tiles tiles(shared, width);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.x * OWN, stride = heads * width;
    Vectors queries = {q + in.row_offset(), rows, stride, width};
    Vectors keys = {k + in.column_offset(), columns, stride, width}, values = {v + in.column_offset(), columns, stride, width};
    float maxima[4], totals[4];
    for (int i = 0; i < 4; i++) { maxima[i] = LOWEST; totals[i] = 0.0f; }
    clear(tiles.sums, OWN * width);
    int end = causal ? min(columns, first + OWN) : columns;
    for (int column = 0; column < end; column += OTHER) {
        multiply(queries, first, keys, column, tiles, tiles.products);
        // A warp owns the rows that it just wrote.
        for (int i = 0; i < 4; i++) {
            int own = warp + 4 * i, row = first + own, seen = in.visible(row, column + lane);
            float value = seen ? tiles.products[own * PITCH + lane] * scale * in.logit_weight(row, column + lane) : LOWEST;
            float maximum = fmaxf(maxima[i], warp_max(value));
            float p = seen ? expf(value - maximum) : 0.0f;
            float correction = maxima[i] == maximum ? 1.0f : expf(maxima[i] - maximum);
            totals[i] = totals[i] * correction + warp_sum(p);
            maxima[i] = maximum;
            tiles.products[own * PITCH + lane] = seen ? p * in.probability_weight(row, column + lane) : 0.0f;
            if (lane == 0) tiles.corrections[own] = correction;
        }
        accumulate(tiles.products, values, column, tiles, tiles.corrections);
    }
    __syncthreads();
    for (int i = 0; i < 4; i++) {
        int own = warp + 4 * i;
        if (lane > 0 || first + own >= rows) continue;
        float* statistic = statistics + (in.statistics_offset() + first + own) * 2;
        tiles.corrections[own] = 1.0f / totals[i];
        statistic[0] = maxima[i];
        statistic[1] = 1.0f / totals[i];
    }
    write_sums(tiles, tiles.corrections, 1.0f, output + in.row_offset(), queries, first);
}

// D: one warp a row of a head. Grid: x = rows / 4, y = heads, z = batch.
extern "C" __global__ void __launch_bounds__(128) attention_corrections(const element* output, const element* gradient, float* corrections, int heads, int rows, int width) {
    int row = blockIdx.x * 4 + threadIdx.x / 32;
    if (row >= rows) return;
    size_t offset = ((size_t)blockIdx.z * rows + row) * heads * width + (size_t)blockIdx.y * width;
    float sum = 0.0f;
    for (int d = threadIdx.x % 32; d < width; d += 32) sum += load(output[offset + d]) * load(gradient[offset + d]);
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) corrections[((size_t)blockIdx.z * heads + blockIdx.y) * rows + row] = sum;
}

// From a logit product and, for `gradients`, dO vᵀ of a pair: p · weight, or scale · logit weight · dS.
template <bool GRADIENT>
__device__ float pair(const Inputs& in, const float* statistics, const float* corrections, int row, int column, float product, float upstream) {
    if (!in.visible(row, column)) return 0.0f;
    size_t place = in.statistics_offset() + row;
    float logit_weight = in.logit_weight(row, column), weight = in.probability_weight(row, column);
    float p = expf(product * in.scale * logit_weight - statistics[2 * place]) * statistics[2 * place + 1];
    return GRADIENT ? p * (weight * upstream - corrections[place]) * logit_weight : p * weight;
}

extern "C" __global__ void __launch_bounds__(128) attention_plain_to_q(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_q, int heads, int rows, int columns, int width, int causal, float scale) {
    DYNAMIC_SHARED(float, shared);
    Inputs in = {q, k, v, marks, probability, logit, heads, rows, columns, width, causal, scale};
    Tiles tiles(shared, width);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.x * OWN, stride = heads * width;
    Vectors queries = {q + in.row_offset(), rows, stride, width}, upstream = {gradient + in.row_offset(), rows, stride, width};
    Vectors keys = {k + in.column_offset(), columns, stride, width}, values = {v + in.column_offset(), columns, stride, width};
    clear(tiles.sums, OWN * width);
    int end = causal ? min(columns, first + OWN) : columns;
    for (int column = 0; column < end; column += OTHER) {
        multiply(queries, first, keys, column, tiles, tiles.products);
        multiply(upstream, first, values, column, tiles, tiles.gradients);
        for (int i = 0; i < 4; i++) {
            int own = warp + 4 * i, at = own * PITCH + lane;
            tiles.products[at] = pair<true>(in, statistics, corrections, first + own, column + lane, tiles.products[at], tiles.gradients[at]);
        }
        accumulate(tiles.products, keys, column, tiles, nullptr);
    }
    write_sums(tiles, nullptr, scale, to_q + in.row_offset(), queries, first);
}

template <bool TO_KEYS>
__device__ void plain_to_columns(const Inputs& in, const element* gradient, const float* statistics, const float* corrections, element* out, float* shared) {
    Tiles tiles(shared, in.width);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.x * OWN, stride = in.heads * in.width;
    Vectors queries = {in.q + in.row_offset(), in.rows, stride, in.width}, upstream = {gradient + in.row_offset(), in.rows, stride, in.width};
    Vectors keys = {in.k + in.column_offset(), in.columns, stride, in.width}, values = {in.v + in.column_offset(), in.columns, stride, in.width};
    clear(tiles.sums, OWN * in.width);
    for (int row = in.causal ? first / OTHER * OTHER : 0; row < in.rows; row += OTHER) {
        multiply(keys, first, queries, row, tiles, tiles.products);
        if (TO_KEYS) multiply(values, first, upstream, row, tiles, tiles.gradients);
        for (int i = 0; i < 4; i++) {
            int own = warp + 4 * i, at = own * PITCH + lane;
            tiles.products[at] = pair<TO_KEYS>(in, statistics, corrections, row + lane, first + own, tiles.products[at], tiles.gradients[at]);
        }
        accumulate(tiles.products, TO_KEYS ? queries : upstream, row, tiles, nullptr);
    }
    write_sums(tiles, nullptr, TO_KEYS ? in.scale : 1.0f, out + in.column_offset(), keys, first);
}

extern "C" __global__ void __launch_bounds__(128) attention_plain_to_k(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_k, int heads, int rows, int columns, int width, int causal, float scale) {
    DYNAMIC_SHARED(float, shared);
    plain_to_columns<true>({q, k, v, marks, probability, logit, heads, rows, columns, width, causal, scale}, gradient, statistics, corrections, to_k, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_plain_to_v(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_v, int heads, int rows, int columns, int width, int causal, float scale) {
    DYNAMIC_SHARED(float, shared);
    plain_to_columns<false>({q, k, v, marks, probability, logit, heads, rows, columns, width, causal, scale}, gradient, statistics, corrections, to_v, shared);
}
