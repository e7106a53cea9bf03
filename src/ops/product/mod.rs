//! Matrix products on CUDA devices, which linear layers and convolutions share: which kernels may compute one (`route`), which of them is fastest for its
//! `shape` (`tuning`, by times that are `measured`), and its tiles on the plain and the portable tensor-core path (`kernels/common/product.cuh`); those
//! of Hopper stand in `cuda`.

mod cuda;
mod measured;
mod route;
mod shape;
#[cfg(test)]
mod tests;
pub mod tuning;

use serde::{Deserialize, Serialize};

use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::tensor::{DType, Tensor, scratch};
use cuda::Operands;
pub(crate) use cuda::{Tiles as HopperTiles, Windows};
use measured::Measured;
pub use route::Route;
pub use shape::{Shape, WindowShape};

/// Elements that a 16-byte copy moves; the tensor cores' paths need whole ones.
pub(crate) const WHOLE: usize = 8;

/// Rows of a sample times this many samples decide how the depth is split.
pub(crate) const USUAL_BATCH: usize = 8;

/// How a product [rows, columns] over a depth is divided among blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// What the entry points of this tile end with.
    pub name: &'static str,
    pub rows: usize,
    pub columns: usize,
    pub threads: usize,
    /// Parts of the depth, whose sums are added in order afterwards.
    pub splits: usize,
}

/// What sums pass through before they are written: the order of `kernels/common/destination.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// Nothing.
    None,
    /// [`silu`](crate::ops::silu).
    Silu,
    /// [`quick_gelu`](crate::ops::quick_gelu).
    QuickGelu,
    /// [`gelu`](crate::ops::gelu).
    Gelu,
    /// The first half of the columns times the other half's gelu. The depth is not divided then, since parts know no halves.
    Geglu,
}

impl Activation {
    /// Columns that are written of so many.
    pub fn columns(self, columns: usize) -> usize {
        if self == Self::Geglu { columns / 2 } else { columns }
    }
}

/// How the elements of an operand lie: neighbours are neighbours in depth, or neighbouring lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lies {
    Along,
    Across,
}

/// Any architecture, element type and shape.
const PLAIN: Tiling = Tiling { name: "plain", rows: 64, columns: 64, threads: 256, splits: 1 };

/// Tensor cores, the largest first.
pub(crate) const TENSOR: [Tiling; 3] = [
    Tiling { name: "128x128", rows: 128, columns: 128, threads: 256, splits: 1 },
    Tiling { name: "128x64", rows: 128, columns: 64, threads: 128, splits: 1 },
    Tiling { name: "64x64", rows: 64, columns: 64, threads: 128, splits: 1 },
];

/// Blocks that keep a large device busy: its multiprocessors. A constant, so that the order of sums is the same on every device.
const BUSY: usize = 132;
/// Steps of depth that a part should have at least, of 32 elements each.
const SHORTEST_PART: usize = 8;
/// Stages of tiles in shared memory, and depth of each.
const STAGES: usize = 4;
const STEP: usize = 32;

impl Tiling {
    /// The tile for a product whose number of parts may depend on `nominal_rows` alone: rows of a batch of usual size, so that a sample's result does
    /// not depend on its batch. Tiles of any size add in the same order.
    pub fn choose(route: Route, [rows, columns, depth]: [usize; 3], nominal_rows: usize) -> Self {
        let fits = |tile: &Self| tile.blocks(rows, columns) >= BUSY && tile.waste(columns) <= columns / 8;
        let tile = if route == Route::Plain { PLAIN } else { TENSOR.into_iter().find(fits).unwrap_or(TENSOR[2]) };
        let idle = BUSY / TENSOR[2].blocks(nominal_rows, columns).max(1);
        Self { splits: idle.min(depth / (SHORTEST_PART * STEP)).clamp(1, 16), ..tile }
    }

    fn blocks(&self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns)
    }

    /// Columns that the last tile has beyond the product.
    fn waste(&self, columns: usize) -> usize {
        columns.next_multiple_of(self.columns) - columns
    }

    /// Bytes of dynamic shared memory.
    pub fn shared(&self, left: Lies, right: Lies) -> usize {
        let elements = |lanes: usize, lies: Lies| match lies {
            Lies::Along => lanes * (STEP + 8),
            Lies::Across => STEP * (lanes + 8),
        };
        if self.name == PLAIN.name { 0 } else { STAGES * (elements(self.rows, left) + elements(self.columns, right)) * 2 }
    }
}

/// One product of an op: entry points `<op>_<pass>_<tile>`, with `<op>_add_parts` behind it where the depth is split.
pub(crate) struct Product<'a> {
    pub op: &'static str,
    pub pass: &'static str,
    /// Rows and columns of the result, and the depth.
    pub sizes: [usize; 3],
    /// Rows in a batch of usual size.
    pub nominal_rows: usize,
    pub lies: [Lies; 2],
    /// Whether the neighbours of both operands come in whole 16-byte copies.
    pub whole_packs: bool,
    /// The product as Hopper's kernels see it, where they have it.
    pub windows: Option<Windows>,
    /// How the windows of a convolution lie.
    pub window_shape: Option<WindowShape>,
    /// The two factors.
    pub factors: [&'a Tensor; 2],
    /// What the forward entry points read besides: the image whose channels lie beside the left factor's.
    pub beside: &'a [Option<&'a Tensor>],
    /// What is added behind the product: a bias, a term of each group of rows, a residual.
    pub added: [Option<&'a Tensor>; 3],
    /// Whether the op's entry points take a term of each group.
    pub has_groups: bool,
    /// What multiplies the sums before anything is added.
    pub scale: f32,
    /// What the sums pass through (`kernels/common/destination.cuh`).
    pub activation: Activation,
    /// The remaining parameters of the entry point.
    pub geometry: &'a [usize],
    /// The remaining parameters of `<op>_add_parts` between the sizes and the number of parts.
    pub parts_geometry: &'a [usize],
}

impl<'a> Product<'a> {
    /// Two factors as a gradient has them: nothing beside them, nothing added, no kernels of Hopper. The op fills in its geometry.
    pub fn of_gradient(op: &'static str, pass: &'static str, sizes: [usize; 3], lies: [Lies; 2], factors: [&'a Tensor; 2], scale: f32) -> Self {
        Self {
            op,
            pass,
            sizes,
            nominal_rows: sizes[0],
            lies,
            whole_packs: false,
            windows: None,
            window_shape: None,
            factors,
            beside: &[],
            added: [None; 3],
            has_groups: false,
            scale,
            activation: Activation::None,
            geometry: &[],
            parts_geometry: &[],
        }
    }

    /// The result as `shape`, in the factors' element type.
    pub fn run(&self, device: &Cuda, shape: &[usize]) -> Result<Tensor> {
        let dtype = self.factors[0].dtype();
        if shape.contains(&0) {
            return scratch(device, shape, dtype);
        }
        let on_hopper = |route: Route| self.on_hopper(device, route).map(|_| route);
        let claimed = [self.whole_packs.then_some(Route::TensorCores), on_hopper(Route::Hopper), on_hopper(Route::Multicast)];
        let routes = Route::usable(*device, self.op, dtype, claimed);
        let mut measured = Measured::new(self, device, shape);
        let route = tuning::choose(*device, &routes, || self.shape(), &mut |route| measured.run(route));
        drop(measured);
        let output = scratch(device, shape, dtype)?;
        self.run_by(device, route.take(), &output)?;
        Ok(output)
    }

    /// Queues the kernels of a route that claims the product.
    fn run_by(&self, device: &Cuda, route: Route, output: &Tensor) -> Result<()> {
        match self.on_hopper(device, route) {
            Some((windows, tiles)) => self.run_on_hopper(device, windows, &tiles, output),
            None => self.run_in_tiles(device, route, output),
        }
    }

    /// The product for Hopper's kernels, if the route is one of theirs and they claim it.
    fn on_hopper(&self, device: &Cuda, route: Route) -> Option<(&Windows, HopperTiles)> {
        let (windows, processors) = (self.windows.as_ref()?, device.properties().processors as usize);
        let tiles = HopperTiles::of_product(route, processors, windows, self.sizes[1], self.nominal_rows, self.activation)?;
        Some((windows, tiles))
    }

    fn shape(&self) -> Shape {
        let [_, columns, depth] = self.sizes;
        Shape {
            op: self.op.into(),
            pass: self.pass.into(),
            dtype: self.factors[0].dtype(),
            rows: self.nominal_rows,
            columns,
            depth,
            windows: self.window_shape,
            activation: self.activation,
            added: self.added.map(|term| term.is_some()),
        }
    }

    fn run_on_hopper(&self, device: &Cuda, windows: &Windows, tiles: &HopperTiles, output: &Tensor) -> Result<()> {
        let parts = self.parts(device, tiles.splits)?;
        let second = self.beside.first().copied().flatten();
        let &Self { factors, added, scale, activation, .. } = self;
        let operands = Operands { factors, second, added, scale, activation, output, parts: parts.as_ref() };
        windows.launch(device, tiles, &operands)?;
        self.add_parts(device, output, parts.as_ref(), tiles.splits)
    }

    fn run_in_tiles(&self, device: &Cuda, route: Route, output: &Tensor) -> Result<()> {
        let [rows, columns, _] = self.sizes;
        let mut tiling = Tiling::choose(route, self.sizes, self.nominal_rows);
        if self.activation == Activation::Geglu {
            tiling.splits = 1;
        }
        let parts = self.parts(device, tiling.splits)?;
        let entry = format!("{}_{}_{}", self.op, self.pass, tiling.name);
        let launch = Launch::new(device, &entry, output.dtype())
            .grid(tiling.blocks(rows, columns), 1, tiling.splits)
            .threads(tiling.threads)
            .shared(tiling.shared(self.lies[0], self.lies[1]));
        let launch = self.factors.iter().fold(launch, |launch, factor| launch.tensor(*factor));
        let launch = self.beside.iter().fold(launch, |launch, tensor| launch.optional(*tensor));
        let launch = if self.pass == "forward" { self.added(launch) } else { launch };
        let launch = launch.tensor(output).optional(parts.as_ref()).float(self.scale);
        self.geometry.iter().fold(launch, |launch, &size| launch.int(size)).run()?;
        self.add_parts(device, output, parts.as_ref(), tiling.splits)
    }

    /// What is added, as the op's entry points take it.
    fn added(&self, launch: Launch) -> Launch {
        let [bias, group, residual] = self.added;
        let launch = launch.optional(bias);
        let launch = if self.has_groups { launch.optional(group) } else { launch };
        launch.optional(residual)
    }

    /// Memory for the sums of each part of the depth, if it has parts.
    fn parts(&self, device: &Cuda, splits: usize) -> Result<Option<Tensor>> {
        (splits > 1).then(|| scratch(device, &[splits, self.sizes[0], self.sizes[1]], DType::F32)).transpose()
    }

    /// Adds the parts in order, and what is added behind the product.
    fn add_parts(&self, device: &Cuda, output: &Tensor, parts: Option<&Tensor>, splits: usize) -> Result<()> {
        let Some(parts) = parts else { return Ok(()) };
        let [rows, columns, _] = self.sizes;
        let launch = Launch::new(device, &format!("{}_add_parts", self.op), output.dtype()).grid((rows * columns).div_ceil(256), 1, 1).threads(256);
        let launch = self.added(launch).tensor(output).tensor(parts).float(self.scale).int(rows).int(columns);
        self.parts_geometry.iter().fold(launch, |launch, &size| launch.int(size)).int(splits).run()
    }
}

/// Rows that one block of `<op>_column_sums` adds.
const SUM_ROWS: usize = 64;

/// Sums over the rows of each sample of `x [samples, rows, columns]`: `[samples, columns]` in f32.
pub(crate) fn column_sums(device: &Cuda, op: &str, x: &Tensor, [samples, rows, columns]: [usize; 3]) -> Result<Tensor> {
    let runs = rows.div_ceil(SUM_ROWS);
    let (partial, output) = (scratch(device, &[samples, runs, columns], DType::F32)?, scratch(device, &[samples, columns], DType::F32)?);
    Launch::new(device, &format!("{op}_column_sums"), x.dtype())
        .grid(runs, samples, 1)
        .threads(256)
        .shared(channel_sums_shared(columns, x.dtype()))
        .tensor(x)
        .tensor(&partial)
        .int(rows)
        .int(columns)
        .int(SUM_ROWS)
        .run()?;
    let launch = Launch::new(device, &format!("{op}_add_runs"), x.dtype()).grid(columns.div_ceil(256), samples, 1).threads(256);
    launch.tensor(&partial).tensor(&output).int(columns).int(runs).run()?;
    Ok(output)
}

/// Bytes of shared memory of `channel_sums` (`kernels/common/channels.cuh`): a thread's packs, then two sums a channel.
pub(crate) fn channel_sums_shared(channels: usize, dtype: DType) -> usize {
    let pack = 16 / dtype.bytes();
    let run = if channels.is_multiple_of(pack) { pack } else { 1 };
    (2 * run * 256 + 2 * channels) * size_of::<f32>()
}
