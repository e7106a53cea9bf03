// Launched by src/ops/attention/cuda.rs.
//
// Multi-head attention with optional weights (cross-attention's), forward and backward:
//   l = logit weight · scale · q kᵀ,  p = softmax(l),  output = (probability weight · p) v
//   D = row sum of dO∘O,  dP = weight∘(dO vᵀ),  dS = p∘(dP - D)
//   dq = scale · (logit weight∘dS) k,  dk = scale · (logit weight∘dS)ᵀ q,  dv = (weight∘p)ᵀ dO
//
// Shapes: q, output [batch, rows, heads · width]; k, v [batch, columns, heads · width]; marks [batch, columns] and weights [batch, rows] in f32, or
// null; statistics [batch, heads, rows, 2] f32 = largest logit, 1 / sum of e^(logit - largest); corrections [batch, heads, rows] f32 = D.
// Weights apply to marked columns. With `causal`, row i sees columns 0..=i. Sums run in a fixed order; no probability reaches memory.
//
// `..._plain`: any architecture, type, width (up to what shared memory holds) and number of columns. Grid: x = tiles of OWN rows (forward, to_q) or
// columns (to_k, to_v), y = heads, z = batch; 128 threads. The own side is read once, the other side once per own tile. Shared memory: OWN · width floats
// of sums and 12.8 KiB of tiles, 45 KiB at width 512. Two shared loads a product: a fraction of the floor.
//
// The others (the width is in the name): tensor cores, f16 and bf16, sm_80 and up (Dao et al., FlashAttention; a warp keeps 16 rows' sums in registers).
//   forward: grid x = tiles of 64 rows (width 512: 32, its depth divided among four warps), y = heads, z = batch; 128 (256) threads. k and v are read
//   once a tile of rows, each copied while the other is in use. Shared memory: 2 · COLUMNS · (padded width + 8) elements, 27 to 42 KiB (82 KiB at 512).
//   to_q: tiles of 64 rows; to_k_v: tiles of 64 columns, both gradients in one pass over the rows, 32 (width 160: 16) at a time. 128 threads; shared memory up to 86 KiB at width 160.
// Floor: 4 · rows · columns · width FLOP a head forward, 10 · backward, at the tensor cores' rate.
#include "common/attention_tiles.cuh"
#include "common/reduce.cuh"

constexpr int OWN = 16;
constexpr int OTHER = 32;
constexpr int DEPTH = 32;
constexpr int THREADS = 128;
constexpr int PITCH = 33;

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

#if ELEMENT != 0 && __CUDA_ARCH__ >= 800
// Forward: ROW_WARPS · 16 rows a block; the depth of every row is divided among SLICES warps, which exchange their shares of the logits.
template <int WIDTH, int SLICES, int ROW_WARPS, int COLUMNS>
__device__ __forceinline__ void forward(const element* q, const element* k, const element* v, element* output, float* statistics, int heads, int rows, int columns, int causal, float scale, element* shared) {
    constexpr int PITCH = Width<WIDTH>::PITCH, DEPTH = Width<WIDTH>::PADDED / SLICES, STEPS = DEPTH / 16, BLOCK = ROW_WARPS * SLICES * 32;
    int lane = threadIdx.x % WARP, slice = threadIdx.x / WARP % SLICES, row_warp = threadIdx.x / WARP / SLICES, stride = heads * WIDTH;
    int first = (blockIdx.x * ROW_WARPS + row_warp) * 16, end = causal ? min(columns, ((int)blockIdx.x + 1) * ROW_WARPS * 16) : columns;
    size_t row_offset = (size_t)blockIdx.z * rows * stride + blockIdx.y * WIDTH, column_offset = (size_t)blockIdx.z * columns * stride + blockIdx.y * WIDTH;
    element *keys = shared, *values = shared + COLUMNS * PITCH;
    float* shares = reinterpret_cast<float*>(values + COLUMNS * PITCH) + row_warp * SLICES * COLUMNS * 16;
    fetch_vectors<WIDTH, COLUMNS, BLOCK>(keys, k + column_offset, 0, columns, stride);
    copy_async_commit();
    fetch_vectors<WIDTH, COLUMNS, BLOCK>(values, v + column_offset, 0, columns, stride);
    copy_async_commit();
    unsigned queries[STEPS][4];
    load_fragments<WIDTH, STEPS>(queries, q + row_offset, first, rows, stride, slice * DEPTH);
    float sums[DEPTH / 8][4], maximum[2] = {LOWEST, LOWEST}, total[2] = {0.0f, 0.0f};
    clear_tiles(sums);
    for (int column = 0; column < end; column += COLUMNS) {
        copy_async_wait<1>();
        __syncthreads();
        float p[COLUMNS / 8][4];
        clear_tiles(p);
#pragma unroll
        for (int step = 0; step < STEPS; step++) multiply_step<COLUMNS, PITCH>(p, queries[step], keys + slice * DEPTH, step);
        if constexpr (SLICES > 1) exchange_shares<SLICES, COLUMNS>(p, shares, slice);
        __syncthreads();
        if (column + COLUMNS < end) fetch_vectors<WIDTH, COLUMNS, BLOCK>(keys, k + column_offset, column + COLUMNS, columns, stride);
        copy_async_commit();
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int row = first + lane / 4 + 8 * h, seen = causal ? min(columns, row + 1) : columns;
            float largest = maximum[h], sum = 0.0f;
#pragma unroll
            for (int i = 0; i < COLUMNS / 4; i++) {
                float& value = p[i / 2][2 * h + i % 2];
                value = column + i / 2 * 8 + lane % 4 * 2 + i % 2 < seen ? value * scale : LOWEST;
                largest = fmaxf(largest, value);
            }
            largest = row_max(largest);
#pragma unroll
            for (int i = 0; i < COLUMNS / 4; i++) {
                float& value = p[i / 2][2 * h + i % 2];
                value = exp2f((value - largest) * LOG2E);
                sum += value;
            }
            float correction = exp2f((maximum[h] - largest) * LOG2E);
            maximum[h] = largest;
            total[h] = total[h] * correction + row_sum(sum);
#pragma unroll
            for (int j = 0; j < DEPTH / 8; j++) {
                sums[j][2 * h] *= correction;
                sums[j][2 * h + 1] *= correction;
            }
        }
        copy_async_wait<1>();
        __syncthreads();
        combine<COLUMNS, PITCH>(sums, p, values + slice * DEPTH);
        __syncthreads();
        if (column + COLUMNS < end) fetch_vectors<WIDTH, COLUMNS, BLOCK>(values, v + column_offset, column + COLUMNS, columns, stride);
        copy_async_commit();
    }
    float inverse[2] = {1.0f / total[0], 1.0f / total[1]};
    write_rows<WIDTH>(output + row_offset, sums, inverse, first, rows, stride, slice * DEPTH);
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int row = first + lane / 4 + 8 * h;
        if (slice > 0 || lane % 4 > 0 || row >= rows) continue;
        float* statistic = statistics + (((size_t)blockIdx.z * heads + blockIdx.y) * rows + row) * 2;
        statistic[0] = maximum[h];
        statistic[1] = inverse[h];
    }
}

// What turns products into gradients: the statistics, the correction and the weights of one row.
struct RowNumbers {
    float maximum, inverse, correction, logit, probability;
    __device__ __forceinline__ RowNumbers(const Inputs& in, const float* statistics, const float* corrections, int row) {
        bool inside = row < in.rows;
        size_t place = in.statistics_offset() + row, weight = (size_t)blockIdx.z * in.rows + row;
        maximum = inside ? statistics[2 * place] : 0.0f;
        inverse = inside ? statistics[2 * place + 1] : 0.0f;
        correction = inside ? corrections[place] : 0.0f;
        logit = inside && in.logit ? in.logit[weight] : 1.0f;
        probability = inside && in.probability ? in.probability[weight] : 1.0f;
    }
    // (weight · p, logit weight · dS) of a visible pair.
    __device__ __forceinline__ float2 pair(float product, float upstream, float scale, bool marked) const {
        float l = marked ? logit : 1.0f, weight = marked ? probability : 1.0f;
        float p = exp2f((product * scale * l - maximum) * LOG2E) * inverse;
        return make_float2(weight * p, p * (weight * upstream - correction) * l);
    }
};

// dq of 64 rows: q and dO stay in shared memory, k and v pass by in tiles of COLUMNS, the next one copied meanwhile.
template <int WIDTH, int COLUMNS>
__device__ __forceinline__ void to_rows(const Inputs& in, const element* gradient, const float* statistics, const float* corrections, element* to_q, element* shared) {
    constexpr int PITCH = Width<WIDTH>::PITCH, STEPS = Width<WIDTH>::PADDED / 16, TILE = COLUMNS * PITCH;
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, stride = in.heads * WIDTH, block_first = blockIdx.x * 64, first = block_first + warp * 16;
    element *queries = shared, *upstream = queries + 64 * PITCH, *tiles = upstream + 64 * PITCH;
    const element *k = in.k + in.column_offset(), *v = in.v + in.column_offset();
    int end = in.causal ? min(in.columns, block_first + 64) : in.columns;
    fetch_vectors<WIDTH, 64, 128>(queries, in.q + in.row_offset(), block_first, in.rows, stride);
    fetch_vectors<WIDTH, 64, 128>(upstream, gradient + in.row_offset(), block_first, in.rows, stride);
    fetch_vectors<WIDTH, COLUMNS, 128>(tiles, k, 0, in.columns, stride);
    fetch_vectors<WIDTH, COLUMNS, 128>(tiles + TILE, v, 0, in.columns, stride);
    copy_async_commit();
    RowNumbers numbers[2] = {{in, statistics, corrections, first + lane / 4}, {in, statistics, corrections, first + lane / 4 + 8}};
    float sums[2 * STEPS][4];
    clear_tiles(sums);
    for (int column = 0, stage = 0; column < end; column += COLUMNS, stage ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        element *keys = tiles + stage * 2 * TILE, *next = tiles + (stage ^ 1) * 2 * TILE;
        if (column + COLUMNS < end) {
            fetch_vectors<WIDTH, COLUMNS, 128>(next, k, column + COLUMNS, in.columns, stride);
            fetch_vectors<WIDTH, COLUMNS, 128>(next + TILE, v, column + COLUMNS, in.columns, stride);
        }
        copy_async_commit();
        float p[COLUMNS / 8][4], d[COLUMNS / 8][4];
        clear_tiles(p);
        clear_tiles(d);
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            unsigned a[4];
            shared_fragment<PITCH>(a, queries + warp * 16 * PITCH, step);
            multiply_step<COLUMNS, PITCH>(p, a, keys, step);
            shared_fragment<PITCH>(a, upstream + warp * 16 * PITCH, step);
            multiply_step<COLUMNS, PITCH>(d, a, keys + TILE, step);
        }
#pragma unroll
        for (int i = 0; i < COLUMNS / 2; i++) {
            int h = i / 2 % 2, row = first + lane / 4 + 8 * h, at = column + i / 4 * 8 + lane % 4 * 2 + i % 2;
            float& product = p[i / 4][i % 4];
            product = in.visible(row, at) ? numbers[h].pair(product, d[i / 4][i % 4], in.scale, in.marks && in.marked(at)).y : 0.0f;
        }
        combine<COLUMNS, PITCH>(sums, p, keys);
    }
    float factors[2] = {in.scale, in.scale};
    write_rows<WIDTH>(to_q + in.row_offset(), sums, factors, first, in.rows, stride, 0);
}

// dk and dv of 64 columns: k and v stay in shared memory, q and dO pass by in tiles of ROWS. A warp's rows of the products are 16 columns of attention.
template <int WIDTH, int ROWS>
__device__ __forceinline__ void to_columns(const Inputs& in, const element* gradient, const float* statistics, const float* corrections, element* to_k, element* to_v, element* shared) {
    constexpr int PITCH = Width<WIDTH>::PITCH, STEPS = Width<WIDTH>::PADDED / 16, TILE = ROWS * PITCH;
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, stride = in.heads * WIDTH, block_first = blockIdx.x * 64, first = block_first + warp * 16;
    element *keys = shared, *values = keys + 64 * PITCH, *tiles = values + 64 * PITCH;
    const element *q = in.q + in.row_offset(), *upstream = gradient + in.row_offset();
    int start = in.causal ? block_first / ROWS * ROWS : 0;
    fetch_vectors<WIDTH, 64, 128>(keys, in.k + in.column_offset(), block_first, in.columns, stride);
    fetch_vectors<WIDTH, 64, 128>(values, in.v + in.column_offset(), block_first, in.columns, stride);
    fetch_vectors<WIDTH, ROWS, 128>(tiles, q, start, in.rows, stride);
    fetch_vectors<WIDTH, ROWS, 128>(tiles + TILE, upstream, start, in.rows, stride);
    copy_async_commit();
    bool marked[2];
#pragma unroll
    for (int h = 0; h < 2; h++) marked[h] = in.marks && first + lane / 4 + 8 * h < in.columns && in.marked(first + lane / 4 + 8 * h);
    float key_sums[2 * STEPS][4], value_sums[2 * STEPS][4];
    clear_tiles(key_sums);
    clear_tiles(value_sums);
    for (int row = start, stage = 0; row < in.rows; row += ROWS, stage ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        element *queries = tiles + stage * 2 * TILE, *next = tiles + (stage ^ 1) * 2 * TILE;
        if (row + ROWS < in.rows) {
            fetch_vectors<WIDTH, ROWS, 128>(next, q, row + ROWS, in.rows, stride);
            fetch_vectors<WIDTH, ROWS, 128>(next + TILE, upstream, row + ROWS, in.rows, stride);
        }
        copy_async_commit();
        float p[ROWS / 8][4], d[ROWS / 8][4];
        clear_tiles(p);
        clear_tiles(d);
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            unsigned a[4];
            shared_fragment<PITCH>(a, keys + warp * 16 * PITCH, step);
            multiply_step<ROWS, PITCH>(p, a, queries, step);
            shared_fragment<PITCH>(a, values + warp * 16 * PITCH, step);
            multiply_step<ROWS, PITCH>(d, a, queries + TILE, step);
        }
#pragma unroll
        for (int i = 0; i < ROWS / 4; i++) {
            int at = row + i / 2 * 8 + lane % 4 * 2 + i % 2;
            RowNumbers numbers(in, statistics, corrections, at);
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float &product = p[i / 2][2 * h + i % 2], &share = d[i / 2][2 * h + i % 2];
                bool visible = in.visible(at, first + lane / 4 + 8 * h);
                float2 pair = numbers.pair(product, share, in.scale, marked[h]);
                product = visible ? pair.x : 0.0f;
                share = visible ? pair.y : 0.0f;
            }
        }
        combine<ROWS, PITCH>(value_sums, p, queries + TILE);
        combine<ROWS, PITCH>(key_sums, d, queries);
    }
    float scales[2] = {in.scale, in.scale}, ones[2] = {1.0f, 1.0f};
    write_rows<WIDTH>(to_k + in.column_offset(), key_sums, scales, first, in.columns, stride, 0);
    write_rows<WIDTH>(to_v + in.column_offset(), value_sums, ones, first, in.columns, stride, 0);
}

extern "C" __global__ void __launch_bounds__(128) attention_forward_40(const element* q, const element* k, const element* v, element* output, float* statistics, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<40, 1, 4, 64>(q, k, v, output, statistics, heads, rows, columns, causal, scale, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_forward_64(const element* q, const element* k, const element* v, element* output, float* statistics, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<64, 1, 4, 64>(q, k, v, output, statistics, heads, rows, columns, causal, scale, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_forward_80(const element* q, const element* k, const element* v, element* output, float* statistics, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<80, 1, 4, 64>(q, k, v, output, statistics, heads, rows, columns, causal, scale, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_forward_128(const element* q, const element* k, const element* v, element* output, float* statistics, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<128, 1, 4, 64>(q, k, v, output, statistics, heads, rows, columns, causal, scale, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_forward_160(const element* q, const element* k, const element* v, element* output, float* statistics, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<160, 1, 4, 64>(q, k, v, output, statistics, heads, rows, columns, causal, scale, shared);
}

extern "C" __global__ void __launch_bounds__(256) attention_forward_512(const element* q, const element* k, const element* v, element* output, float* statistics, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    forward<512, 4, 2, 32>(q, k, v, output, statistics, heads, rows, columns, causal, scale, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_q_40(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_q, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_rows<40, 32>({q, k, v, marks, probability, logit, heads, rows, columns, 40, causal, scale}, gradient, statistics, corrections, to_q, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_k_v_40(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_k, element* to_v, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_columns<40, 32>({q, k, v, marks, probability, logit, heads, rows, columns, 40, causal, scale}, gradient, statistics, corrections, to_k, to_v, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_q_64(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_q, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_rows<64, 32>({q, k, v, marks, probability, logit, heads, rows, columns, 64, causal, scale}, gradient, statistics, corrections, to_q, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_k_v_64(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_k, element* to_v, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_columns<64, 32>({q, k, v, marks, probability, logit, heads, rows, columns, 64, causal, scale}, gradient, statistics, corrections, to_k, to_v, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_q_80(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_q, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_rows<80, 32>({q, k, v, marks, probability, logit, heads, rows, columns, 80, causal, scale}, gradient, statistics, corrections, to_q, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_k_v_80(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_k, element* to_v, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_columns<80, 32>({q, k, v, marks, probability, logit, heads, rows, columns, 80, causal, scale}, gradient, statistics, corrections, to_k, to_v, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_q_128(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_q, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_rows<128, 32>({q, k, v, marks, probability, logit, heads, rows, columns, 128, causal, scale}, gradient, statistics, corrections, to_q, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_k_v_128(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_k, element* to_v, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_columns<128, 32>({q, k, v, marks, probability, logit, heads, rows, columns, 128, causal, scale}, gradient, statistics, corrections, to_k, to_v, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_q_160(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_q, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_rows<160, 32>({q, k, v, marks, probability, logit, heads, rows, columns, 160, causal, scale}, gradient, statistics, corrections, to_q, shared);
}

extern "C" __global__ void __launch_bounds__(128) attention_to_k_v_160(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_k, element* to_v, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_columns<160, 16>({q, k, v, marks, probability, logit, heads, rows, columns, 160, causal, scale}, gradient, statistics, corrections, to_k, to_v, shared);
}
#endif
