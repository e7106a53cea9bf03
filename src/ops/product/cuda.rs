//! Forward products by wgmma on Hopper (`kernels/product_hopper.cu`, and by clusters of two blocks `kernels/product_multicast.cu`): which shapes they take,
//! tiles, parts of the depth, and the launch.
//!
//! They take the forward products of linear layers and of convolutions of stride 1, and with `…_across.cu` those of their inputs' gradients, when the
//! channels of input and output are multiples of 8: the copy engine wants rows of whole 16 bytes, and so do the results' packs. Everything else (odd
//! channels at a network's ends, stride 2, pixels repeated to an odd size, gradients of weights, f32) stays with the other routes. That depends on a
//! sample's shape alone, never on the batch.

use super::{Activation, BUSY, Lies, Route, WHOLE};
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::tensor::{DType, Tensor};

/// Rows of a tile, and channels of a box: one step of the depth.
const ROWS: usize = 128;
const STEP: usize = 64;
/// Columns that a tile may have: N of wgmma.
const COLUMNS: [usize; 4] = [256, 160, 128, 64];
/// Columns that a step of any tile takes as long as, besides its own: its box of rows must come, too.
const BESIDE: usize = 32;
/// Steps that a part of the depth should have at least, and the most parts.
const SHORTEST_PART: usize = 8;
const MOST_PARTS: usize = 16;
const THREADS: usize = 384;
/// Dynamic shared memory (`Ring`): stages, barriers, sums on their way out.
const STAGES_BYTES: usize = 196_608;
const BARRIERS_BYTES: usize = 1024;
const STAGED_BYTES: usize = 8 * 16 * 40 * 4;

/// The product as the kernels see it: its rows are the cells of images, its depth runs over the taps of a window, then over channels. A matrix is an image
/// of one row with one tap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// Images, height, width of the result.
    pub cells: [usize; 3],
    /// Height and width of the left factor's images in memory.
    pub image: [usize; 2],
    /// Height and width of a window.
    pub taps: [usize; 2],
    /// Zeros above an image and to its left.
    pub before: [usize; 2],
    /// Channels of the left factor.
    pub channels: usize,
    /// Of these, those of its first image; a second has the rest.
    pub first_channels: usize,
    /// Whether windows meet each pixel twice along both axes, and the result has double height and width, too. Then the cells of one parity are a product
    /// of their own, whose taps meet whole boxes.
    pub doubled: bool,
    /// How the right factor lies: along the depth as `[columns, taps, channels]`, or across it as `[channels, taps, columns]` with the taps from the last to
    /// the first, which is a weight as the gradient of its input meets it.
    pub right: Lies,
}

/// How a product is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tiles {
    /// Columns of a tile.
    pub columns: usize,
    /// Cells of a tile, whose rows they are: images, height, width.
    pub cells: [usize; 3],
    /// How the right factor lies.
    pub right: Lies,
    /// Parts of the depth; none is empty.
    pub splits: usize,
    /// Blocks of a cluster, which share the columns' boxes: their tiles are neighbours along the rows.
    pub cluster: usize,
    /// Blocks, each of which goes through its share of tiles and parts.
    pub blocks: usize,
}

/// Whether the kernels can compute a product of so many channels and columns.
pub(super) fn claims(windows: &Windows, columns: usize) -> bool {
    windows.first_channels > 0 && [windows.channels, windows.first_channels, columns].iter().all(|size| size.is_multiple_of(WHOLE))
}

impl Tiles {
    /// Rows of a tile, whatever its columns.
    pub const ROWS: usize = ROWS;
    /// Channels of one step of the depth.
    pub const STEP: usize = STEP;
    /// Threads of a block.
    pub const THREADS: usize = THREADS;

    /// Those of a product with an activation behind it, if a route's kernels can compute it.
    pub fn of_product(
        route: Route,
        processors: usize,
        windows: &Windows,
        columns: usize,
        nominal_rows: usize,
        activation: Activation,
    ) -> Option<Self> {
        let cluster = match route {
            Route::Hopper => 1,
            Route::Multicast => 2,
            Route::Plain | Route::TensorCores => return None,
        };
        // What is written are packs of the columns that are left.
        claims(windows, activation.columns(columns)).then(|| {
            let tiles = Self::choose(cluster, processors, windows, columns, nominal_rows);
            if activation == Activation::Geglu { Self { splits: 1, ..tiles }.on(processors, windows, columns) } else { tiles }
        })
    }

    /// For a device of so many multiprocessors. The number of parts depends on `nominal_rows`, not on the rows, so that a sample's sums are added in the
    /// same order in every batch; tiles of all sizes, and of clusters, add in the same order.
    pub fn choose(cluster: usize, processors: usize, windows: &Windows, columns: usize, nominal_rows: usize) -> Self {
        let steps = windows.steps();
        let idle = BUSY / (nominal_rows.div_ceil(ROWS) * columns.div_ceil(128)).max(1);
        let splits = idle.min(steps / SHORTEST_PART).clamp(1, MOST_PARTS);
        let splits = steps.div_ceil(steps.div_ceil(splits));
        let cells = box_of_cells(windows.cells_of_parity());
        let of_width = |columns: usize| Self { columns, cells, right: windows.right, splits, cluster, blocks: 0 };
        let items = |width: usize| of_width(width).items(windows, columns);
        let time = |width: &usize| items(*width).div_ceil(processors) * (width + BESIDE);
        let width = COLUMNS.into_iter().min_by_key(time).unwrap_or(COLUMNS[0]);
        of_width(width).on(processors, windows, columns)
    }

    /// With as many blocks as so many multiprocessors hold, in whole clusters.
    fn on(self, processors: usize, windows: &Windows, columns: usize) -> Self {
        let most = (processors / self.cluster).max(1) * self.cluster;
        Self { blocks: self.items(windows, columns).min(most), ..self }
    }

    /// Tiles and parts of a product: what the blocks go through. Of tiles along the rows there are whole clusters.
    pub fn items(&self, windows: &Windows, columns: usize) -> usize {
        let parities = if windows.doubled { 4 } else { 1 };
        let down = (parities * count(windows.cells_of_parity(), self.cells)).next_multiple_of(self.cluster);
        down * columns.div_ceil(self.columns) * self.splits
    }

    /// The box of the right factor that a block copies, innermost first. Along the depth: of a gated layer's tile values and gates apart, of a cluster's
    /// tile one of the halves. Across it [`STEP`] columns, of which a cluster's block copies a part of the depth.
    fn box_of_right(&self, activation: Activation) -> [usize; 3] {
        match self.right {
            Lies::Along if self.cluster > 1 => [STEP, 1, self.columns / self.cluster],
            Lies::Along => [STEP, 1, activation.columns(self.columns)],
            Lies::Across => [STEP, 1, STEP / self.cluster],
        }
    }

    /// Columns that the boxes of a step hold: across the depth whole boxes of them.
    fn held_columns(&self) -> usize {
        if self.right == Lies::Across { self.columns.next_multiple_of(STEP) } else { self.columns }
    }

    /// Elements of both factors that a block reads in one step: its rows, and its share of the columns.
    pub fn read_of_step(&self) -> usize {
        (ROWS + self.held_columns() / self.cluster) * STEP
    }

    /// The entry point.
    pub fn entry(&self) -> String {
        let kind = if self.cluster > 1 { "product_multicast" } else { "product" };
        let right = if self.right == Lies::Across { "_across" } else { "" };
        format!("{kind}{right}_{ROWS}x{}", self.columns)
    }

    /// Bytes of dynamic shared memory: whole stages, of both factors' boxes each, in [`STAGES_BYTES`].
    pub fn shared(&self) -> usize {
        let stage = (ROWS + self.held_columns()) * STEP * DType::F16.bytes();
        STAGES_BYTES / stage * stage + BARRIERS_BYTES + STAGED_BYTES
    }
}

/// Tiles of so many cells that cover an image.
fn count(cells: [usize; 3], of_tile: [usize; 3]) -> usize {
    cells.iter().zip(of_tile).map(|(size, extent)| size.div_ceil(extent)).product()
}

/// The box of [`ROWS`] cells that covers the images with the fewest boxes; the widest of those.
fn box_of_cells(cells: [usize; 3]) -> [usize; 3] {
    let widths = (0..=ROWS.ilog2()).rev().map(|power| 1 << power);
    let boxes = widths.flat_map(|width| {
        let heights = (0..=(ROWS / width).ilog2()).rev().map(|power| 1 << power);
        heights.map(move |height| [ROWS / width / height, height, width])
    });
    boxes.min_by_key(|of_tile| count(cells, *of_tile)).unwrap_or([1, 1, ROWS])
}

/// What a launch is given besides the windows.
pub(super) struct Operands<'a> {
    /// The images and the weight.
    pub factors: [&'a Tensor; 2],
    /// Images whose channels lie beside the first ones'.
    pub second: Option<&'a Tensor>,
    /// Bias, a term of each image, a residual.
    pub added: [Option<&'a Tensor>; 3],
    /// What multiplies the sums.
    pub scale: f32,
    /// What they pass through.
    pub activation: Activation,
    /// The result.
    pub output: &'a Tensor,
    /// Where the sums of a divided depth go instead.
    pub parts: Option<&'a Tensor>,
}

impl Windows {
    /// A matrix as the left factor.
    pub(crate) fn of_matrix(rows: usize, channels: usize) -> Self {
        Self {
            cells: [1, 1, rows],
            image: [1, rows],
            taps: [1, 1],
            before: [0, 0],
            channels,
            first_channels: channels,
            doubled: false,
            right: Lies::Along,
        }
    }

    /// Steps of the depth.
    pub fn steps(&self) -> usize {
        self.taps[0] * self.taps[1] * self.chunks()
    }

    /// Boxes of channels that one tap takes: each image's own.
    fn chunks(&self) -> usize {
        self.first_channels.div_ceil(STEP) + (self.channels - self.first_channels).div_ceil(STEP)
    }

    /// Images, height, width of what a tile's cells are taken from.
    fn cells_of_parity(&self) -> [usize; 3] {
        let [images, height, width] = self.cells;
        if self.doubled { [images, height / 2, width / 2] } else { self.cells }
    }

    /// Queues the kernel of the tile.
    pub(super) fn launch(&self, device: &Cuda, tiles: &Tiles, operands: &Operands) -> Result<()> {
        let &Operands { factors: [image, weight], second, added, scale, activation, output, parts } = operands;
        let &Self { cells: [images, ..], image: [height, width], taps, channels, first_channels, doubled, right, .. } = self;
        let second_channels = if second.is_some() { channels - first_channels } else { first_channels };
        let (count, [deep, high, wide]) = (taps[0] * taps[1], tiles.cells);
        let outputs = weight.elements() / (count * channels);
        let sizes_of_right = if right == Lies::Along { [channels, count, outputs] } else { [outputs, count, channels] };
        let launch = Launch::new(device, &tiles.entry(), output.dtype())
            .grid(tiles.blocks, 1, 1)
            .threads(THREADS)
            .shared(tiles.shared())
            .boxes(image, &[first_channels, width, height, images], &[STEP, wide, high, deep])
            .boxes(second.unwrap_or(image), &[second_channels, width, height, images], &[STEP, wide, high, deep])
            .boxes(weight, &sizes_of_right, &tiles.box_of_right(activation));
        let launch = added.into_iter().fold(launch, |launch, term| launch.optional(term)).tensor(output).optional(parts).float(scale);
        let sizes = [self.cells, tiles.cells].into_iter().flatten().chain([taps, self.before].into_iter().flatten());
        sizes.chain([channels, first_channels, usize::from(doubled), outputs, activation as usize, tiles.splits]).fold(launch, Launch::int).run()
    }
}
