// The main loop of the matrix products on Hopper (sm_90a, f16 and bf16): out [M, N] = A · Bᵀ with what is added behind it (destination.cuh).
//
// M are cells of images, N outputs, the depth runs over taps, then channels (of one image, or of two behind each other): a tile of A at one tap is a box of
// the image, moved by the tap, in which what lies outside is zero. Where each pixel is met twice along both axes, a tile has cells of one parity alone: then
// the pixels that they meet at one tap are a box, too. A matrix is an image of one row with one tap. B [outputs, taps, channels].
//
// A block is three warpgroups and stays on its multiprocessor: it goes through tiles blockIdx.x, + gridDim.x, …. The first warpgroup keeps few registers,
// and one thread of it copies boxes of 64 channels into a ring of stages; the two others hold 64 rows of the tile's sums each and multiply what has
// landed. A stage goes round: empty -> (copies start) -> full -> (both warpgroups have multiplied) -> empty; while the sums of one tile are written, the
// boxes of the next are on their way.
//
// Two blocks may be a cluster, whose tiles are neighbours along the rows of the same columns: then each brings its own box of A, and the half of B's box
// for both of them, so that the second-level cache gives B once. The stages of the two go round together: one is empty when the warpgroups of both blocks
// have multiplied what lay there, and full when what either block sends has landed.
#pragma once
#include "common/cluster.cuh"
#include "common/destination.cuh"

constexpr int TILE_ROWS = 128;                  // two warpgroups of 64
constexpr int BOX_CHANNELS = 64;                // 128 bytes, the width of the swizzle
constexpr int BLOCK_THREADS = 3 * WARPGROUP;
constexpr int BAND = 8;                         // tiles of rows that take turns with the same columns
constexpr int STAGED = 32, STAGED_PITCH = 40;   // columns of a warp's sums in shared memory on their way out
constexpr int CONSUMER_WARPS = 8;               // of a block

// What a product is launched with: the parameter of every entry point, as product_hopper.cu describes it. The copy engine finds the tensors' descriptions
// where the launch has put them.
struct Product {
    TensorMap x, second, weight;
    const element *bias, *per_group, *residual;
    element* y;
    float *parts, scale;
    int images, height, width;              // cells of the result
    int box_images, box_height, box_width;  // those of a tile; their product is TILE_ROWS
    int taps_y, taps_x, top, left;          // cell (y, x) meets, at tap (i, j), pixel (y - top + i, x - left + j) >> doubled
    int channels, first_channels;           // all, and those of the first image
    int doubled;                            // 1: a tile's cells are every other one of the result along both axes
    int outputs, activation;
    int splits;                             // parts of the depth; none is empty

    __device__ __forceinline__ Destination destination() const {
        return {y, parts, bias, per_group, residual, scale, images * height * width, outputs, height * width, activation};
    }
    __device__ __forceinline__ int first_chunks() const { return (first_channels + BOX_CHANNELS - 1) / BOX_CHANNELS; }
    __device__ __forceinline__ int chunks() const { return first_chunks() + (channels - first_channels + BOX_CHANNELS - 1) / BOX_CHANNELS; }
    __device__ __forceinline__ int steps() const { return taps_y * taps_x * chunks(); }
};

__device__ __forceinline__ int tiles_along(int size, int tile) { return (size + tile - 1) / tile; }

// One tile of one part of the depth.
struct Work {
    int part, begin, end;  // steps of the depth
    int column;
    int image, y, x;  // the box's first cell

    // Tiles along the images' axes; of a doubled one there are four parities, which follow each other. Each block of a cluster has a tile of the same
    // columns, if need be one behind the last image, where all boxes are zero and no result is.
    __device__ __forceinline__ static int wide(const Product& product) { return tiles_along(product.width >> product.doubled, product.box_width); }
    __device__ __forceinline__ static int high(const Product& product) { return tiles_along(product.height >> product.doubled, product.box_height); }
    template <int BLOCKS>
    __device__ __forceinline__ static int down(const Product& product) {
        int tiles = (wide(product) * high(product) * tiles_along(product.images, product.box_images)) << 2 * product.doubled;
        return tiles_along(tiles, BLOCKS) * BLOCKS;
    }

    // Neighbouring numbers share a band of rows and its columns, whose factors the second-level cache then holds.
    template <int COLUMNS, int BLOCKS>
    __device__ __forceinline__ static Work at(int item, const Product& product) {
        static_assert(BAND % BLOCKS == 0, "the blocks of a cluster are in the same band");
        int wide = Work::wide(product), high = Work::high(product), down = Work::down<BLOCKS>(product), across = tiles_along(product.outputs, COLUMNS);
        int part = item / (down * across), tile = item - part * down * across;
        int band = tile / (BAND * across), in_band = tile - band * BAND * across, rows = min(BAND, down - band * BAND);
        int row = band * BAND + in_band % rows, share = tiles_along(product.steps(), product.splits);
        int parity_y = row & product.doubled, parity_x = (row >> 1) & product.doubled;
        row >>= 2 * product.doubled;
        return {part, part * share, min((part + 1) * share, product.steps()), in_band / rows * COLUMNS, row / (wide * high) * product.box_images,
                ((row / wide % high * product.box_height) << product.doubled) + parity_y, ((row % wide * product.box_width) << product.doubled) + parity_x};
    }

    template <int COLUMNS, int BLOCKS>
    __device__ __forceinline__ static int count(const Product& product) {
        return down<BLOCKS>(product) * tiles_along(product.outputs, COLUMNS) * product.splits;
    }

    // The result's row of a row of the tile; -1 outside.
    __device__ __forceinline__ int row(int of_tile, const Product& product) const {
        int column = x + (of_tile % product.box_width << product.doubled), line = y + (of_tile / product.box_width % product.box_height << product.doubled);
        int picture = image + of_tile / (product.box_width * product.box_height);
        bool inside = column < product.width && line < product.height && picture < product.images;
        return inside ? (picture * product.height + line) * product.width + column : -1;
    }
};

// What lies where in the shared memory of each of a cluster's blocks.
template <int COLUMNS, int BLOCKS, bool ACROSS>
struct Ring {
    // Across the depth B comes in boxes of 64 columns.
    static constexpr int B_BOXES = (COLUMNS + BOX_CHANNELS - 1) / BOX_CHANNELS, B_ROWS = ACROSS ? B_BOXES * BOX_CHANNELS : COLUMNS;
    static constexpr int A_BYTES = TILE_ROWS * BOX_CHANNELS * 2, B_BYTES = B_ROWS * BOX_CHANNELS * 2, STAGE_BYTES = A_BYTES + B_BYTES;
    static constexpr int STAGES = 196608 / STAGE_BYTES;
    static constexpr int STAGED_FLOATS = 16 * STAGED_PITCH;  // of a warp
    unsigned char* stages;
    Barrier *full, *empty;
    float* staged;

    __device__ __forceinline__ explicit Ring(unsigned char* shared)
        : stages(shared), full(reinterpret_cast<Barrier*>(shared + STAGES * STAGE_BYTES)), empty(full + STAGES),
          staged(reinterpret_cast<float*>(shared + STAGES * STAGE_BYTES + 1024)) {}

    __device__ __forceinline__ void start() {
        if (threadIdx.x == 0) {
            for (int stage = 0; stage < STAGES; stage++) {
                barrier_init(full + stage, 1);
                barrier_init(empty + stage, BLOCKS * CONSUMER_WARPS);
            }
            publish_barriers();
        }
        if (BLOCKS > 1) synchronize_cluster();
        else __syncthreads();
    }

    // By all lanes of a warp that has multiplied what lay in a stage of its block, which every block of the cluster sends to.
    __device__ __forceinline__ void release(int stage) const {
        int lane = threadIdx.x % 32;
        if (BLOCKS > 1) {
            if (lane < BLOCKS) barrier_arrive_at(empty + stage, lane);
        } else if (lane == 0) {
            barrier_arrive(empty + stage);
        }
    }
};

// Where a thread is in the ring: the stage, and the parity of its phase.
template <int STAGES>
struct Turn {
    int stage = 0;
    unsigned parity = 0;
    __device__ __forceinline__ void next() {
        if (++stage == STAGES) {
            stage = 0;
            parity ^= 1;
        }
    }
};

// Copies B's part of one step, `channel` of a tap, to the stage: in one box; of a gated layer, whose tile has values and gates, in two; of a cluster one of
// the two halves to both blocks. Across the depth in boxes of 64 columns, of which a cluster's block brings one half of the depth; the taps then come from
// the last to the first, since what cell y of the result takes from tap i lies at y - i.
template <int COLUMNS, int BLOCKS, bool ACROSS>
__device__ __forceinline__ void fetch_weights(const Product& product, const Work& work, unsigned char* stage, Barrier* full, int channel, int tap) {
    typedef Ring<COLUMNS, BLOCKS, ACROSS> R;
    constexpr int HALF_BYTES = R::B_BYTES / 2, BOX_BYTES = BOX_CHANNELS * BOX_CHANNELS * 2;
    constexpr unsigned ALL = (1 << BLOCKS) - 1;
    bool gated = product.activation == GEGLU;
    if (ACROSS) {
        tap = product.taps_y * product.taps_x - 1 - tap;
#pragma unroll
        for (int box = 0; box < R::B_BOXES; box++) {
            unsigned char* place = stage + box * BOX_BYTES;
            int column = work.column + box * BOX_CHANNELS, half = BLOCKS > 1 ? block_of_cluster() : 0;
            if (BLOCKS > 1) copy_box_to(ALL, place + half * BOX_BYTES / 2, product.weight, full, column, tap, channel + half * BOX_CHANNELS / 2);
            else copy_box(place, product.weight, full, column, tap, channel);
        }
    } else if (BLOCKS > 1) {
        int half = block_of_cluster(), column = gated ? (half * product.outputs + work.column) / 2 : work.column + half * COLUMNS / 2;
        copy_box_to(ALL, stage + half * HALF_BYTES, product.weight, full, channel, tap, column);
    } else if (gated) {
        copy_box(stage, product.weight, full, channel, tap, work.column / 2);
        copy_box(stage + HALF_BYTES, product.weight, full, channel, tap, (product.outputs + work.column) / 2);
    } else {
        copy_box(stage, product.weight, full, channel, tap, work.column);
    }
}

// One thread: copies every box that this block needs, as soon as its stage is empty.
template <int COLUMNS, int BLOCKS, bool ACROSS>
__device__ __forceinline__ void fetch_boxes(const Product& product, const Ring<COLUMNS, BLOCKS, ACROSS>& ring) {
    typedef Ring<COLUMNS, BLOCKS, ACROSS> R;
    Turn<R::STAGES> turn;
    int chunks = product.chunks(), first_chunks = product.first_chunks(), items = Work::count<COLUMNS, BLOCKS>(product);
    prefetch(product.x);
    if (first_chunks < chunks) prefetch(product.second);
    prefetch(product.weight);
    for (int item = blockIdx.x; item < items; item += gridDim.x) {
        Work work = Work::at<COLUMNS, BLOCKS>(item, product);
        int tap = work.begin / chunks, chunk = work.begin - tap * chunks, y = tap / product.taps_x, x = tap - y * product.taps_x;
        for (int step = work.begin; step < work.end; step++) {
            unsigned char* stage = ring.stages + turn.stage * R::STAGE_BYTES;
            Barrier* full = ring.full + turn.stage;
            barrier_wait(ring.empty + turn.stage, turn.parity ^ 1);
            barrier_arrive_expecting(full, R::STAGE_BYTES);
            int column = (work.x - product.left + x) >> product.doubled, line = (work.y - product.top + y) >> product.doubled, channel = chunk * BOX_CHANNELS;
            if (chunk < first_chunks) {
                copy_box(stage, product.x, full, channel, column, line, work.image);
            } else {
                channel -= first_chunks * BOX_CHANNELS;
                copy_box(stage, product.second, full, channel, column, line, work.image);
                channel += product.first_channels;
            }
            // Beyond the first image's channels the weight's are the second's; there the first image's box is zero.
            fetch_weights<COLUMNS, BLOCKS, ACROSS>(product, work, stage + R::A_BYTES, full, channel, tap);
            turn.next();
            if (++chunk == chunks) {
                chunk = 0;
                tap++;
                if (++x == product.taps_x) {
                    x = 0;
                    y++;
                }
            }
        }
    }
}

// A warp's sums [16, COLUMNS] to their places from `first_column` on, through shared memory so that whole packs of a row go out.
template <int COLUMNS>
__device__ __forceinline__ void write_sums(const float (*sums)[4], const Work& work, const Product& product, const Destination& to, int first_column,
                                           int first_row, float* staged) {
    int lane = threadIdx.x % 32, row = lane / 4, rows[2];
#pragma unroll
    for (int half = 0; half < 2; half++) rows[half] = work.row(first_row + half * 8 + row, product);
#pragma unroll
    for (int column = 0; column < COLUMNS; column += STAGED) {
        __syncwarp();
#pragma unroll
        for (int j = 0; j < (COLUMNS - column < STAGED ? COLUMNS - column : STAGED) / 8; j++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const float* pair = &sums[column / 8 + j][half * 2];
                *reinterpret_cast<Pack<float, 2>*>(staged + (half * 8 + row) * STAGED_PITCH + j * 8 + lane % 4 * 2) = {pair[0], pair[1]};
            }
        __syncwarp();
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const Pack<float, 4>* run = reinterpret_cast<const Pack<float, 4>*>(staged + (half * 8 + row) * STAGED_PITCH + lane % 4 * 8);
            Pack<float, 4> low = run[0], high = run[1];
            float values[PACK] = {low.at[0], low.at[1], low.at[2], low.at[3], high.at[0], high.at[1], high.at[2], high.at[3]};
            if (rows[half] >= 0 && column + lane % 4 * 8 < COLUMNS) to.write_run(work.part, rows[half], first_column + column + lane % 4 * 8, values);
        }
    }
}

// The same of a gated product, whose tile has values in its first half and their gates in the second, in the same threads.
template <int COLUMNS>
__device__ __forceinline__ void write_gated_sums(float (&sums)[COLUMNS / 8][4], const Work& work, const Product& product, const Destination& to, int first_row,
                                                 float* staged) {
    int first_column = work.column / 2;
#pragma unroll
    for (int j = 0; j < COLUMNS / 16; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int column = first_column + j * 8 + threadIdx.x % 4 * 2 + e % 2;
            if (column < to.columns / 2) sums[j][e] = to.gated(column, sums[j][e], sums[COLUMNS / 16 + j][e]);
        }
    Destination halves = {to.out, nullptr, nullptr, nullptr, nullptr, 1.0f, to.rows, to.columns / 2, 1};
    write_sums<COLUMNS / 2>(sums, work, product, halves, first_column, first_row, staged);
}

// A warpgroup: 64 rows (from `first_row`) of every tile of this block.
template <int COLUMNS, int BLOCKS, bool ACROSS>
__device__ __forceinline__ void multiply_boxes(const Product& product, const Ring<COLUMNS, BLOCKS, ACROSS>& ring, int first_row) {
    typedef Ring<COLUMNS, BLOCKS, ACROSS> R;
    Turn<R::STAGES> turn;
    Destination to = product.destination();
    int warp = threadIdx.x % WARPGROUP / 32, items = Work::count<COLUMNS, BLOCKS>(product);
    float* staged = ring.staged + (first_row / 16 + warp) * R::STAGED_FLOATS;
    constexpr int B_STEP = ACROSS ? FURTHER_ACROSS : FURTHER_ALONG;
    unsigned char* first_b = ring.stages + R::A_BYTES;
    unsigned long long a = describe_factor(ring.stages + first_row * BOX_CHANNELS * 2), b = ACROSS ? describe_factor_across(first_b) : describe_factor(first_b);
    for (int item = blockIdx.x; item < items; item += gridDim.x) {
        Work work = Work::at<COLUMNS, BLOCKS>(item, product);
        float sums[COLUMNS / 8][4];
        int before = 0;
        for (int step = work.begin; step < work.end; step++) {
            barrier_wait(ring.full + turn.stage, turn.parity);
            hold_sums<COLUMNS>(sums);
            products_fence();
            unsigned long long stage = turn.stage * (R::STAGE_BYTES / 16);
#pragma unroll
            for (int k = 0; k < BOX_CHANNELS / 16; k++)
                multiply<element, COLUMNS, ACROSS>(sums, a + stage + k * FURTHER_ALONG, b + stage + k * B_STEP, step > work.begin || k > 0);
            products_commit();
            hold_sums<COLUMNS>(sums);
            // The step before has read its stage when no more than this one is on its way.
            products_wait<1>();
            if (step > work.begin) ring.release(before);
            before = turn.stage;
            turn.next();
        }
        products_wait<0>();
        hold_sums<COLUMNS>(sums);
        ring.release(before);
        if (to.activation == GEGLU) write_gated_sums<COLUMNS>(sums, work, product, to, first_row + warp * 16, staged);
        else write_sums<COLUMNS>(sums, work, product, to, work.column, first_row + warp * 16, staged);
    }
}

// Grid: x = as many blocks as multiprocessors, or as tiles · parts if those are fewer, whole clusters of BLOCKS; BLOCK_THREADS threads, one block a
// multiprocessor. Dynamic shared memory: Ring's stages (192 KiB or a little less), 1 KiB of barriers, 20 KiB of sums on their way out.
template <int COLUMNS, int BLOCKS, bool ACROSS>
__device__ __forceinline__ void hopper_product(const Product& product) {
    DYNAMIC_SHARED(unsigned char, shared);
    static_assert(BLOCKS == 1 || BLOCKS == 2, "each block of a cluster brings one half of B's box");
    Ring<COLUMNS, BLOCKS, ACROSS> ring(shared);
    ring.start();
    int warpgroup = threadIdx.x / WARPGROUP;
    if (warpgroup == 0) {
        give_registers<40>();
        if (threadIdx.x == 0) fetch_boxes<COLUMNS, BLOCKS, ACROSS>(product, ring);
    } else {
        take_registers<232>();
        multiply_boxes<COLUMNS, BLOCKS, ACROSS>(product, ring, (warpgroup - 1) * 64);
    }
    // The other block's warpgroups still tell this one's barriers that they have multiplied.
    if (BLOCKS > 1) synchronize_cluster();
}
