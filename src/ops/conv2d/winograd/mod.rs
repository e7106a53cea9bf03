//! 3 x 3 windows of stride 1 by Winograd's F(4 x 4, 3 x 3): 36 multiplications for 16 outputs instead of 144 (Lavin and Gray, "Fast algorithms for
//! convolutional neural networks", 2016).
//!
//! A tile of 6 x 6 inputs becomes 36 points, each point one matrix product [tiles, in] · [in, out], and 36 sums become 4 x 4 outputs. All of it
//! happens in blocks that stay in the caches: the input's points of one block of tiles, then for 32 output channels at a time the weight's points
//! of some input channels. Relative error against f64 for normal data: 7e-7 at 32 channels, 1.1e-6 at 320, 1.2e-6 at 1280 (the direct sum: 4e-7).

mod block;
mod transform;
mod weight_gradient;
mod weights;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::patches::Pixels;
use crate::device::cpu::gemm::Finish;
use block::Block;
pub(super) use weights::WeightView;

/// Outputs of a tile along each axis.
const TILE: usize = 4;
/// Inputs of a tile, and points, along each axis.
const POINTS: usize = 6;

/// A convolution of stride 1 with a 3 x 3 window: the forward pass or, with the window turned around, the gradient of its input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Convolution<'a> {
    pub(super) pixels: Pixels<'a>,
    pub(super) batch: usize,
    /// Zeros above and to the left of the image.
    pub(super) before: [usize; 2],
    pub(super) weight: WeightView<'a>,
    /// Height and width of the output.
    pub(super) output_size: [usize; 2],
    pub(super) outputs: usize,
}

/// Whether Winograd's algorithm is the faster one. Decided from the sizes of one image, never from the batch or the threads.
pub(super) fn suits(geometry: &Geometry) -> bool {
    let [height, width] = geometry.output_size;
    let computed = height.next_multiple_of(TILE) * width.next_multiple_of(TILE);
    geometry.kernel == [3, 3]
        && geometry.stride == 1
        && geometry.before.iter().all(|&zeros| zeros <= 2)
        && geometry.inputs.min(geometry.outputs) >= 16
        && height * width >= if geometry.inputs * geometry.outputs <= LARGE_WEIGHT { 64 } else { 256 }
        && 2 * computed <= 3 * height * width
}

impl Convolution<'_> {
    fn tiles_across(&self) -> usize {
        self.output_size[1].div_ceil(TILE)
    }

    /// Rows of tiles in one image.
    fn tile_rows(&self) -> usize {
        self.output_size[0].div_ceil(TILE)
    }

    /// The first output pixel of a row of tiles, counted over the whole batch.
    fn first_pixel(&self, tile_row: usize) -> usize {
        let (image, row) = (tile_row / self.tile_rows(), tile_row % self.tile_rows());
        (image * self.output_size[0] + row * TILE) * self.output_size[1]
    }

    /// Writes the whole output `[batch, out height, out width, outputs]`.
    pub(super) fn run(&self, output: &mut [f32], finish: &Finish) {
        let total = self.batch * self.tile_rows();
        if output.is_empty() {
            return;
        }
        let threads = rayon::current_num_threads();
        let shared = self.pixels.channels * self.outputs <= SHARED_WEIGHT && total * self.tiles_across() >= 4 * FEWEST_TILES;
        let most_tiles = self.tiles_at_a_time(shared);
        // Blocks of equal size, at least two for each thread where that leaves them large enough.
        let most_rows = most_tiles.div_ceil(self.tiles_across());
        let count = total.div_ceil(most_rows).max((2 * threads).min(total * self.tiles_across() / FEWEST_TILES)).max(1);
        let rows = total.div_ceil(count);
        let weight_points = shared.then(|| self.weight_points());
        let weight_points = weight_points.as_deref();
        let parallel = total.div_ceil(rows) < threads;
        let mut blocks = Vec::with_capacity(count);
        let mut rest = output;
        for first in (0..total).step_by(rows) {
            let end = total.min(first + rows);
            let pixels = self.first_pixel(end) - self.first_pixel(first);
            let (head, tail) = rest.split_at_mut(pixels * self.outputs);
            blocks.push((Block { tile_rows: first..end, most_tiles, weight_points, parallel }, head));
            rest = tail;
        }
        if parallel {
            blocks.into_iter().for_each(|(block, pixels)| self.block(&block, pixels, finish));
        } else {
            blocks.into_par_iter().with_max_len(1).for_each(|(block, pixels)| self.block(&block, pixels, finish));
        }
    }

    /// How many tiles are computed together: few enough for their points to stay in the cache, many enough to be worth the weight's transform, or
    /// reading its points where they are shared.
    fn tiles_at_a_time(&self, shared: bool) -> usize {
        let fit = CACHE / (POINTS * POINTS * (self.pixels.channels + 32));
        if shared { fit.clamp(28, 112) } else { (4 * fit).clamp(64, 128) }
    }
}

/// Elements of input points and sums that are held at a time: 384 KiB, beside the weight's points in the second-level cache.
const CACHE: usize = 96 << 10;
/// Tiles below which a block does not pay.
const FEWEST_TILES: usize = 48;
/// Pairs of channels up to which all of the weight's points are computed once and read by all blocks: 9 MiB of the third-level cache.
const SHARED_WEIGHT: usize = 1 << 16;
/// Pairs of channels from which the weight's transform is worth it only for more tiles than 8 x 8 outputs have.
const LARGE_WEIGHT: usize = 512 * 512;
