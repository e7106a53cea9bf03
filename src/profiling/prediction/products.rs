//! How long a matrix product takes by each of its routes, and by the fastest, as the engine finds it on the GPU itself.

use super::kernels::{BYTES, GAP, MMA_SYNC, Model, PROCESSORS, Predicted, Work};
use super::plan::{Convolution, Epilogue, Linear, Op};
use crate::ops::product::{Activation, HopperTiles, Lies, Route, TENSOR, Tiling, USUAL_BATCH, WHOLE, Windows};

impl Windows {
    /// Around the cells of square images, in a convolution that keeps their size.
    fn of_image(images: usize, side: usize, kernel: usize, channels: usize) -> Self {
        Self {
            cells: [images, side, side],
            image: [side; 2],
            taps: [kernel; 2],
            before: [kernel / 2; 2],
            channels,
            first_channels: channels,
            doubled: false,
            right: Lies::Along,
        }
    }
}

/// Parts of the depth that are tried, and the least elements of one.
const MOST_SPLITS: usize = 16;
const SHORTEST_PART: usize = 256;

/// A product [rows, columns] over a depth.
#[derive(Debug)]
pub(super) struct Product {
    pub op: &'static str,
    /// `forward`, or `to_x` for the gradient of the left factor.
    pub pass: &'static str,
    pub sizes: [usize; 3],
    /// Rows of a sample.
    pub of_sample: usize,
    /// Channels of the left factor.
    pub inputs: usize,
    /// As Hopper's kernels see it, where they have it.
    pub windows: Option<Windows>,
    pub activation: Activation,
    /// Bytes of its tensors, each read or written once.
    pub bytes: f64,
}

impl Product {
    /// That of an op on so many samples, whose tensors have so many bytes; none of an op that is no product. Images are square.
    pub fn of(op: &Op, batch: usize, bytes: f64) -> Option<Self> {
        match *op {
            Op::Conv { sizes: Convolution { cells, from_cells, inputs, outputs, kernel, stride }, .. } => {
                let windows = Windows {
                    image: [from_cells.isqrt(); 2],
                    doubled: from_cells < cells,
                    ..Windows::of_image(batch, cells.isqrt(), kernel, inputs)
                };
                let (sizes, windows) = ([cells * batch, outputs, kernel * kernel * inputs], (stride == 1).then_some(windows));
                Some(Self { op: "conv2d", pass: "forward", sizes, of_sample: cells, inputs, windows, activation: Activation::None, bytes })
            }
            Op::ConvToInput(Convolution { cells, from_cells, inputs, outputs, kernel, stride }) => {
                let windows = Windows { right: Lies::Across, ..Windows::of_image(batch, from_cells.isqrt(), kernel, outputs) };
                // With a stride each of the input's positions goes through all taps, whether an output lies there or not.
                let (sizes, windows) =
                    ([from_cells * batch, inputs, kernel * kernel * outputs], (stride == 1 && cells == from_cells).then_some(windows));
                Some(Self { op: "conv2d", pass: "to_x", sizes, of_sample: from_cells, inputs: outputs, windows, activation: Activation::None, bytes })
            }
            Op::Linear { sizes: Linear { rows, inputs, outputs }, epilogue } => {
                let (sizes, windows) = ([rows * batch, outputs, inputs], Some(Windows::of_matrix(rows * batch, inputs)));
                let activation = if epilogue == Epilogue::Gate { Activation::Geglu } else { Activation::None };
                Some(Self { op: "linear", pass: "forward", sizes, of_sample: rows, inputs, windows, activation, bytes })
            }
            Op::LinearToInput(Linear { rows, inputs, outputs }) => {
                let windows = Some(Windows { right: Lies::Across, ..Windows::of_matrix(rows * batch, outputs) });
                let sizes = [rows * batch, inputs, outputs];
                Some(Self { op: "linear", pass: "to_x", sizes, of_sample: rows, inputs: outputs, windows, activation: Activation::None, bytes })
            }
            _ => None,
        }
    }

    /// How the right factor lies along the depth.
    fn right(&self) -> Lies {
        if self.pass == "to_x" { Lies::Across } else { Lies::Along }
    }

    /// The sums of a divided depth, in bytes: none of an undivided one.
    fn parts(&self, splits: usize) -> f64 {
        let [rows, columns, _] = self.sizes;
        if splits > 1 { 4.0 * (splits * rows * columns) as f64 } else { 0.0 }
    }
}

fn total(launches: &[Predicted]) -> f64 {
    launches.iter().map(|launch| launch.milliseconds).sum()
}

impl Model<'_> {
    /// A product by the kernels that take the least time. Odd channels take the plain path.
    pub(super) fn product(&self, product: &Product) -> Vec<Predicted> {
        if !product.inputs.is_multiple_of(WHOLE) {
            return vec![self.plain(product)];
        }
        let most = if product.activation == Activation::Geglu { 1 } else { MOST_SPLITS.min(product.sizes[2].div_ceil(SHORTEST_PART)) };
        let splits = 1..=most;
        let tiled = TENSOR.iter().flat_map(|tile| splits.clone().map(move |splits| self.tiled(product, tile, splits)));
        let on_hopper = [Route::Hopper, Route::Multicast].into_iter().filter_map(|route| self.on_hopper(product, route));
        tiled.chain(on_hopper).min_by(|a, b| total(a).total_cmp(&total(b))).unwrap_or_default()
    }

    /// Without tensor cores: a multiply-add a clock on each of 128 lanes, of which loads take half.
    fn plain(&self, product: &Product) -> Predicted {
        let operations = 2.0 * product.sizes.iter().map(|&size| size as f64).product::<f64>();
        let arithmetic = operations / (self.ceilings.f32_per_second / 2.0) * 1e3;
        let milliseconds = arithmetic.max(product.bytes / self.ceilings.bytes_per_second * 1e3) + GAP;
        Predicted { entry: format!("{}_{}_plain", product.op, product.pass), milliseconds, floor: 0.0 }
    }

    /// By mma.sync.
    fn tiled(&self, product: &Product, tile: &Tiling, splits: usize) -> Vec<Predicted> {
        let [rows, columns, depth] = product.sizes;
        let tiles = (rows.div_ceil(tile.rows) * columns.div_ceil(tile.columns)) as f64;
        let work = Work {
            blocks: tiles * splits as f64,
            threads: tile.threads,
            shared: tile.shared(Lies::Along, product.right()),
            operations: 2.0 * tiles * (tile.rows * tile.columns * depth) as f64,
            rate: MMA_SYNC,
            bytes: product.bytes + product.parts(splits),
            cached: BYTES * tiles * ((tile.rows + tile.columns) * depth) as f64,
            asynchronous: true,
            ..Work::default()
        };
        self.with_parts(product, self.predicted(&format!("{}_{}_{}", product.op, product.pass, tile.name), &work), splits)
    }

    /// By wgmma, on the tiles that the engine takes; none where the route's kernels do not claim the product.
    fn on_hopper(&self, product: &Product, route: Route) -> Option<Vec<Predicted>> {
        let [_, columns, _] = product.sizes;
        let windows = product.windows.as_ref()?;
        let nominal_rows = USUAL_BATCH * product.of_sample;
        let tiles = HopperTiles::of_product(route, PROCESSORS as usize, windows, columns, nominal_rows, product.activation)?;
        let (items, steps) = (tiles.items(windows, columns) as f64, windows.steps() as f64 / tiles.splits as f64);
        let of_tile = (HopperTiles::ROWS * tiles.columns) as f64;
        let written = if tiles.splits > 1 { 4.0 } else { BYTES };
        let work = Work {
            blocks: items,
            threads: HopperTiles::THREADS,
            shared: tiles.shared(),
            operations: 2.0 * items * of_tile * steps * HopperTiles::STEP as f64,
            rate: 1.0,
            // A block's warpgroups share a tile, and nothing is multiplied while they write it.
            serial: written * items * product.activation.columns(of_tile as usize) as f64,
            bytes: product.bytes + product.parts(tiles.splits),
            // What a cluster's blocks share is read once for all of them.
            cached: BYTES * items * tiles.read_of_step() as f64 * steps,
            asynchronous: true,
            ..Work::default()
        };
        Some(self.with_parts(product, self.predicted(&tiles.entry(), &work), tiles.splits))
    }

    /// The launch, and the one that adds the parts of a divided depth.
    fn with_parts(&self, product: &Product, launch: Predicted, splits: usize) -> Vec<Predicted> {
        let elements = product.sizes[0] * product.sizes[1];
        let adding = |bytes: f64| self.moving(&format!("{}_add_parts", product.op), elements.div_ceil(256), bytes);
        let added = (splits > 1).then(|| adding(product.parts(splits) + BYTES * elements as f64));
        std::iter::once(launch).chain(added).collect()
    }
}
