// Launched by src/ops/attention/cuda.rs.
// supports: sm_80+; f16, bf16
//
// Multi-head attention with optional weights on tensor cores (the width is in the name; Dao et al., FlashAttention; a warp keeps 16 rows' sums in
// registers), forward and backward:
//   l = logit weight · scale · q kᵀ,  p = softmax(l),  output = (probability weight · p) v
//   D = row sum of dO∘O,  dP = weight∘(dO vᵀ),  dS = p∘(dP - D)
//   dq = scale · (logit weight∘dS) k,  dk = scale · (logit weight∘dS)ᵀ q,  dv = (weight∘p)ᵀ dO
//
// Shapes: as in common/attention_inputs.cuh; output as q; statistics [batch, heads, rows, 2] f32 = largest logit, 1 / sum of e^(logit - largest);
// corrections [batch, heads, rows] f32 = D, from attention_plain.cu. Sums run in a fixed order; no probability reaches memory.
//   forward: grid x = tiles of 64 rows (width 512: 32, its depth divided among four warps), y = heads, z = batch; 128 (256) threads. k and v are read
//   once a tile of rows, each copied while the other is in use. Shared memory: 2 · COLUMNS · (padded width + 8) elements, 27 to 42 KiB (82 KiB at 512).
//   to_q: tiles of 64 rows; to_k_v: tiles of 64 columns, both gradients in one pass over the rows, 32 (width 160: 16) at a time. 128 threads; shared
//   memory up to 86 KiB at width 160. Width 512: 32 rows or columns, which stay in registers, 16 of the others at a time, the depth divided among four
//   warps; 256 threads, 81 KiB.
// Floor: 4 · rows · columns · width FLOP a head forward, 10 · backward, at the tensor cores' rate.
#include "common/attention_tiles.cuh"
#include "common/reduce.cuh"

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

// The A fragments of a warp's 16 vectors for its share of the depth: from shared memory, where the block's vectors lie, or, where the depth is divided
// among warps, in registers.
template <int WIDTH, int SLICES>
struct Own {
    static constexpr int STEPS = Width<WIDTH>::PADDED / SLICES / 16;
    unsigned fragments[STEPS][4];
    __device__ __forceinline__ Own(const element*, const element* vectors, int first, int count, int stride, int slice) {
        load_fragments<WIDTH, STEPS>(fragments, vectors, first, count, stride, slice * STEPS * 16);
    }
    __device__ __forceinline__ void fragment(unsigned (&a)[4], int step) const {
#pragma unroll
        for (int i = 0; i < 4; i++) a[i] = fragments[step][i];
    }
};

template <int WIDTH>
struct Own<WIDTH, 1> {
    const element* shared;
    __device__ __forceinline__ Own(const element* shared, const element*, int, int, int, int) : shared(shared) {}
    __device__ __forceinline__ void fragment(unsigned (&a)[4], int step) const { shared_fragment<Width<WIDTH>::PITCH>(a, shared, step); }
};

// p, d [16, COUNT] = products of a warp's own two vectors with the two tiles of `tiles`, over the whole depth.
template <int WIDTH, int SLICES, int COUNT>
__device__ __forceinline__ void multiply_both(float (&p)[COUNT / 8][4], float (&d)[COUNT / 8][4], const Own<WIDTH, SLICES>& first, const Own<WIDTH, SLICES>& second, const element* tiles, float* shares, int slice) {
    constexpr int PITCH = Width<WIDTH>::PITCH, DEPTH = Width<WIDTH>::PADDED / SLICES;
    clear_tiles(p);
    clear_tiles(d);
#pragma unroll
    for (int step = 0; step < DEPTH / 16; step++) {
        unsigned a[4];
        first.fragment(a, step);
        multiply_step<COUNT, PITCH>(p, a, tiles + slice * DEPTH, step);
        second.fragment(a, step);
        multiply_step<COUNT, PITCH>(d, a, tiles + COUNT * PITCH + slice * DEPTH, step);
    }
    if constexpr (SLICES > 1) {
        exchange_shares<SLICES, COUNT>(p, shares, slice);
        exchange_shares<SLICES, COUNT>(d, shares + SLICES * COUNT * 16, slice);
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

// dq of ROW_WARPS · 16 rows: q and dO stay in shared memory or registers, k and v pass by in tiles of COLUMNS, the next one copied meanwhile.
template <int WIDTH, int COLUMNS, int SLICES = 1, int ROW_WARPS = 4>
__device__ __forceinline__ void to_rows(const Inputs& in, const element* gradient, const float* statistics, const float* corrections, element* to_q, element* shared) {
    constexpr int PITCH = Width<WIDTH>::PITCH, DEPTH = Width<WIDTH>::PADDED / SLICES, TILE = COLUMNS * PITCH, ROWS = ROW_WARPS * 16, BLOCK = ROW_WARPS * SLICES * WARP;
    int lane = threadIdx.x % WARP, slice = threadIdx.x / WARP % SLICES, row_warp = threadIdx.x / WARP / SLICES, stride = in.heads * WIDTH;
    int block_first = blockIdx.x * ROWS, first = block_first + row_warp * 16, end = in.causal ? min(in.columns, block_first + ROWS) : in.columns;
    element *queries = shared, *upstream = queries + ROWS * PITCH, *tiles = SLICES > 1 ? shared : upstream + ROWS * PITCH;
    float* shares = reinterpret_cast<float*>(tiles + 4 * TILE) + row_warp * 2 * SLICES * COLUMNS * 16;
    const element *q = in.q + in.row_offset(), *given = gradient + in.row_offset(), *k = in.k + in.column_offset(), *v = in.v + in.column_offset();
    if (SLICES == 1) {
        fetch_vectors<WIDTH, ROWS, BLOCK>(queries, q, block_first, in.rows, stride);
        fetch_vectors<WIDTH, ROWS, BLOCK>(upstream, given, block_first, in.rows, stride);
    }
    fetch_vectors<WIDTH, COLUMNS, BLOCK, (SLICES > 1)>(tiles, k, 0, in.columns, stride);
    fetch_vectors<WIDTH, COLUMNS, BLOCK, (SLICES > 1)>(tiles + TILE, v, 0, in.columns, stride);
    copy_async_commit();
    Own<WIDTH, SLICES> own_q(queries + row_warp * 16 * PITCH, q, first, in.rows, stride, slice);
    Own<WIDTH, SLICES> own_upstream(upstream + row_warp * 16 * PITCH, given, first, in.rows, stride, slice);
    RowNumbers numbers[2] = {{in, statistics, corrections, first + lane / 4}, {in, statistics, corrections, first + lane / 4 + 8}};
    float sums[DEPTH / 8][4];
    clear_tiles(sums);
    for (int column = 0, stage = 0; column < end; column += COLUMNS, stage ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        element *keys = tiles + stage * 2 * TILE, *next = tiles + (stage ^ 1) * 2 * TILE;
        if (column + COLUMNS < end) {
            fetch_vectors<WIDTH, COLUMNS, BLOCK, (SLICES > 1)>(next, k, column + COLUMNS, in.columns, stride);
            fetch_vectors<WIDTH, COLUMNS, BLOCK, (SLICES > 1)>(next + TILE, v, column + COLUMNS, in.columns, stride);
        }
        copy_async_commit();
        float p[COLUMNS / 8][4], d[COLUMNS / 8][4];
        multiply_both<WIDTH, SLICES, COLUMNS>(p, d, own_q, own_upstream, keys, shares, slice);
#pragma unroll
        for (int i = 0; i < COLUMNS / 2; i++) {
            int h = i / 2 % 2, row = first + lane / 4 + 8 * h, at = column + i / 4 * 8 + lane % 4 * 2 + i % 2;
            float& product = p[i / 4][i % 4];
            product = in.visible(row, at) ? numbers[h].pair(product, d[i / 4][i % 4], in.scale, in.marks && in.marked(at)).y : 0.0f;
        }
        combine<COLUMNS, PITCH>(sums, p, keys + slice * DEPTH);
    }
    float factors[2] = {in.scale, in.scale};
    write_rows<WIDTH>(to_q + in.row_offset(), sums, factors, first, in.rows, stride, slice * DEPTH);
}

// dk and dv of ROW_WARPS · 16 columns: k and v stay in shared memory or registers, q and dO pass by in tiles of ROWS. A warp's rows of the products are 16
// columns of attention.
template <int WIDTH, int ROWS, int SLICES = 1, int ROW_WARPS = 4>
__device__ __forceinline__ void to_columns(const Inputs& in, const element* gradient, const float* statistics, const float* corrections, element* to_k, element* to_v, element* shared) {
    constexpr int PITCH = Width<WIDTH>::PITCH, DEPTH = Width<WIDTH>::PADDED / SLICES, TILE = ROWS * PITCH, COLUMNS = ROW_WARPS * 16, BLOCK = ROW_WARPS * SLICES * WARP;
    int lane = threadIdx.x % WARP, slice = threadIdx.x / WARP % SLICES, row_warp = threadIdx.x / WARP / SLICES, stride = in.heads * WIDTH;
    int block_first = blockIdx.x * COLUMNS, first = block_first + row_warp * 16, start = in.causal ? block_first / ROWS * ROWS : 0;
    element *keys = shared, *values = keys + COLUMNS * PITCH, *tiles = SLICES > 1 ? shared : values + COLUMNS * PITCH;
    float* shares = reinterpret_cast<float*>(tiles + 4 * TILE) + row_warp * 2 * SLICES * ROWS * 16;
    const element *q = in.q + in.row_offset(), *upstream = gradient + in.row_offset(), *k = in.k + in.column_offset(), *v = in.v + in.column_offset();
    if (SLICES == 1) {
        fetch_vectors<WIDTH, COLUMNS, BLOCK>(keys, k, block_first, in.columns, stride);
        fetch_vectors<WIDTH, COLUMNS, BLOCK>(values, v, block_first, in.columns, stride);
    }
    fetch_vectors<WIDTH, ROWS, BLOCK, (SLICES > 1)>(tiles, q, start, in.rows, stride);
    fetch_vectors<WIDTH, ROWS, BLOCK, (SLICES > 1)>(tiles + TILE, upstream, start, in.rows, stride);
    copy_async_commit();
    Own<WIDTH, SLICES> own_k(keys + row_warp * 16 * PITCH, k, first, in.columns, stride, slice), own_v(values + row_warp * 16 * PITCH, v, first, in.columns, stride, slice);
    bool marked[2];
#pragma unroll
    for (int h = 0; h < 2; h++) marked[h] = in.marks && first + lane / 4 + 8 * h < in.columns && in.marked(first + lane / 4 + 8 * h);
    float key_sums[DEPTH / 8][4], value_sums[DEPTH / 8][4];
    clear_tiles(key_sums);
    clear_tiles(value_sums);
    for (int row = start, stage = 0; row < in.rows; row += ROWS, stage ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        element *queries = tiles + stage * 2 * TILE, *next = tiles + (stage ^ 1) * 2 * TILE;
        if (row + ROWS < in.rows) {
            fetch_vectors<WIDTH, ROWS, BLOCK, (SLICES > 1)>(next, q, row + ROWS, in.rows, stride);
            fetch_vectors<WIDTH, ROWS, BLOCK, (SLICES > 1)>(next + TILE, upstream, row + ROWS, in.rows, stride);
        }
        copy_async_commit();
        float p[ROWS / 8][4], d[ROWS / 8][4];
        multiply_both<WIDTH, SLICES, ROWS>(p, d, own_k, own_v, queries, shares, slice);
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
        combine<ROWS, PITCH>(value_sums, p, queries + TILE + slice * DEPTH);
        combine<ROWS, PITCH>(key_sums, d, queries + slice * DEPTH);
    }
    float scales[2] = {in.scale, in.scale}, ones[2] = {1.0f, 1.0f};
    write_rows<WIDTH>(to_k + in.column_offset(), key_sums, scales, first, in.columns, stride, slice * DEPTH);
    write_rows<WIDTH>(to_v + in.column_offset(), value_sums, ones, first, in.columns, stride, slice * DEPTH);
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

extern "C" __global__ void __launch_bounds__(256) attention_to_q_512(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_q, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_rows<512, 16, 4, 2>({q, k, v, marks, probability, logit, heads, rows, columns, 512, causal, scale}, gradient, statistics, corrections, to_q, shared);
}

extern "C" __global__ void __launch_bounds__(256) attention_to_k_v_512(const element* q, const element* k, const element* v, const float* marks, const float* probability, const float* logit, const element* gradient, const float* statistics, const float* corrections, element* to_k, element* to_v, int heads, int rows, int columns, int causal, float scale) {
    DYNAMIC_SHARED(element, shared);
    to_columns<512, 16, 4, 2>({q, k, v, marks, probability, logit, heads, rows, columns, 512, causal, scale}, gradient, statistics, corrections, to_k, to_v, shared);
}
#endif
