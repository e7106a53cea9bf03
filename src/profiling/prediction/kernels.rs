//! How long each kernel of a plan takes, as far as its arithmetic, its bytes, its tiles and its occupancy say.

use std::collections::HashMap;

use super::plan::Op;
use crate::device::DType;
use crate::device::cuda::{Architecture, Cache, KERNELS, Variant, compile_all};
use crate::error::{Result, ensure};
use crate::ops::product::{Lies, TENSOR, Tiling, WHOLE};
use crate::profiling::Ceilings;
use crate::profiling::occupancy::blocks as blocks_of_processor;

/// Compute capability of an H100, times ten; the element type is f16.
const CAPABILITY: u32 = 90;
const BYTES: f64 = 2.0;
const PROCESSORS: f64 = 132.0;
/// Clocks a second of its multiprocessors under load.
const CLOCK: f64 = 1.755e9;
/// Exponentials that a multiprocessor computes in one clock (CUDA programming guide, "Arithmetic instructions").
const EXPONENTIALS: f64 = 16.0;
/// What mma.sync reaches there of the rate of wgmma (Luo et al. 2024, "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture").
const MMA_SYNC: f64 = 0.629;
/// Bytes on their way that a multiprocessor needs to have the whole bandwidth: 3 TB/s over 700 ns, divided among all.
const BYTES_IN_FLIGHT: f64 = 3.0e12 * 700e-9 / PROCESSORS;
/// Bytes on their way of one thread of a kernel that reads through registers.
const BYTES_OF_THREAD: f64 = 16.0;
/// Bytes a second that the second-level cache gives all multiprocessors together, as microbenchmarks find (Chips and Cheese 2023, "Nvidia's H100").
const SECOND_LEVEL: f64 = 5.5e12;
/// Milliseconds between two kernels of a CUDA graph.
const GAP: f64 = 0.001;
const MOST_SPLITS: usize = 16;

/// Registers of a thread and static shared memory of a block, by entry point, as the real assembler says.
#[derive(Debug)]
pub struct Compiled(HashMap<String, [usize; 2]>);

impl Compiled {
    /// Compiles every kernel for an H100 in f16, or takes it from the cache.
    ///
    /// # Errors
    /// When there is no libnvrtc (exit code 2), or it is an emulated one, which knows no registers.
    pub fn new() -> Result<Self> {
        let architecture = Architecture::of_capability(CAPABILITY / 10, CAPABILITY % 10);
        let supported = KERNELS.iter().filter(|kernel| kernel.supports(architecture) && kernel.elements.contains(&DType::F16));
        let variants: Vec<Variant> = supported.map(|kernel| Variant { kernel, element: DType::F16, architecture }).collect();
        let mut found = HashMap::new();
        for compiled in compile_all(&variants, Cache::of_user().as_ref(), |_| {})? {
            let entries = compiled?.resources().into_iter();
            found.extend(entries.map(|entry| (entry.entry, [entry.registers as usize, entry.shared as usize])));
        }
        ensure!(!found.is_empty(), "this libnvrtc does not say how many registers a kernel takes");
        Ok(Self(found))
    }

    /// For tests: every kernel takes so many registers.
    #[cfg(test)]
    pub fn uniform(registers: usize) -> Self {
        let entries = KERNELS.iter().flat_map(|kernel| kernel.entries);
        Self(entries.map(|entry| (entry.name.to_owned(), [registers, 0])).collect())
    }

    /// Threads that a multiprocessor holds of a kernel; of one that is not known, a quarter of what it can.
    fn resident(&self, entry: &str, threads: usize, shared: usize) -> f64 {
        let [registers, fixed] = self.0.get(entry).copied().unwrap_or([0, 0]);
        blocks_of_processor(CAPABILITY, threads, registers, shared + fixed).map_or(512.0, |blocks| (blocks * threads) as f64)
    }
}

/// A kernel of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// The entry point.
    pub entry: String,
    /// Milliseconds.
    pub milliseconds: f64,
    /// The least time by the roofline: no launch, no tile and no occupancy in it.
    pub floor: f64,
}

/// What [`Model::time`] hangs on.
struct Work {
    blocks: f64,
    threads: usize,
    shared: usize,
    /// With what tiles add beyond the tensors' ends.
    operations: f64,
    exponentials: f64,
    bytes: f64,
    /// Bytes that come from the second-level cache: what a tile reads again because its neighbours read it, too.
    cached: f64,
    /// Whether bytes come by asynchronous copies, which need no threads that wait for them.
    asynchronous: bool,
}

/// What a batch's kernels take.
#[derive(Debug)]
pub struct Model<'a> {
    /// What kernels take.
    pub compiled: &'a Compiled,
    /// The roofline.
    pub ceilings: &'a Ceilings,
    /// Images.
    pub batch: usize,
}

impl Model<'_> {
    /// The kernels of an op.
    pub fn predict(&self, op: &Op) -> Vec<Predicted> {
        let batch = self.batch as f64;
        let [of_sample, once] = op.elements().map(|elements| elements as f64 * BYTES);
        let bytes = of_sample * batch + once;
        let floor = self.ceilings.floor(op.operations() * batch, bytes as u64, Some(DType::F16));
        let mut found = match *op {
            Op::Conv { cells, inputs, outputs, kernel, .. } => {
                self.product("conv2d", [cells * self.batch, outputs, kernel * kernel * inputs], inputs, bytes)
            }
            Op::Linear { rows, inputs, outputs, .. } => self.product("linear", [rows * self.batch, outputs, inputs], inputs, bytes),
            Op::Attention { rows, columns, heads, width } => vec![self.attention([rows, columns, heads, width], bytes)],
            Op::GroupNorm { positions, channels, groups } => self.group_norm(positions, channels, groups),
            Op::LayerNorm { rows, .. } => vec![self.moving("layer_norm_forward", (rows * self.batch).div_ceil(8), bytes)],
        };
        // The floor is the op's: its first kernel bears it.
        if let Some(first) = found.first_mut() {
            first.floor = floor;
        }
        found
    }

    /// Milliseconds of one launch.
    fn time(&self, entry: &str, work: &Work) -> f64 {
        // The slowest multiprocessor has the most blocks.
        let balance = work.blocks / PROCESSORS / (work.blocks / PROCESSORS).ceil();
        let products = work.operations / (self.ceilings.half_per_second * MMA_SYNC * balance);
        let exponentials = work.exponentials / (PROCESSORS * EXPONENTIALS * CLOCK * balance);
        let resident = self.compiled.resident(entry, work.threads, work.shared);
        let present = resident.min(work.threads as f64 * (work.blocks / PROCESSORS).ceil());
        let bandwidth = if work.asynchronous { 1.0 } else { (present * BYTES_OF_THREAD / BYTES_IN_FLIGHT).min(1.0) };
        let memory = (work.bytes / (self.ceilings.bytes_per_second * bandwidth)).max(work.cached / SECOND_LEVEL);
        (products + exponentials).max(memory) * 1e3 + GAP
    }

    fn predicted(&self, entry: &str, work: &Work) -> Predicted {
        Predicted { entry: entry.to_owned(), milliseconds: self.time(entry, work), floor: 0.0 }
    }

    fn moving(&self, entry: &str, blocks: usize, bytes: f64) -> Predicted {
        let blocks = blocks.max(1) as f64;
        self.predicted(entry, &Work { blocks, threads: 256, shared: 0, operations: 0.0, exponentials: 0.0, bytes, cached: 0.0, asynchronous: false })
    }

    /// A product on the tile, and with the parts of its depth, that take the least time. Odd channels take the plain path.
    fn product(&self, op: &str, sizes: [usize; 3], inputs: usize, bytes: f64) -> Vec<Predicted> {
        let [rows, columns, depth] = sizes;
        if !inputs.is_multiple_of(WHOLE) {
            let entry = format!("{op}_forward_plain");
            let operations = 2.0 * (rows * columns * depth) as f64;
            // Without tensor cores: a multiply-add a clock on each of 128 lanes, of which loads take half.
            let plain = operations / (self.ceilings.f32_per_second / 2.0) * 1e3;
            let milliseconds = plain.max(bytes / self.ceilings.bytes_per_second * 1e3) + GAP;
            return vec![Predicted { entry, milliseconds, floor: 0.0 }];
        }
        let candidates = TENSOR.iter().flat_map(|tile| (1..=MOST_SPLITS.min(depth.div_ceil(256))).map(move |splits| (tile, splits)));
        let launches = candidates.map(|(tile, splits)| self.tiled(op, tile, splits, sizes, bytes));
        let total = |launches: &Vec<Predicted>| launches.iter().map(|launch| launch.milliseconds).sum::<f64>();
        launches.min_by(|a, b| total(a).total_cmp(&total(b))).unwrap_or_default()
    }

    fn tiled(&self, op: &str, tile: &Tiling, splits: usize, [rows, columns, depth]: [usize; 3], bytes: f64) -> Vec<Predicted> {
        let tiles = (rows.div_ceil(tile.rows) * columns.div_ceil(tile.columns)) as f64;
        let parts = if splits > 1 { 4.0 * (splits * rows * columns) as f64 } else { 0.0 };
        let work = Work {
            blocks: tiles * splits as f64,
            threads: tile.threads,
            shared: tile.shared(Lies::Along, Lies::Along),
            operations: 2.0 * tiles * (tile.rows * tile.columns * depth) as f64,
            exponentials: 0.0,
            bytes: bytes + parts,
            cached: BYTES * tiles * ((tile.rows + tile.columns) * depth) as f64,
            asynchronous: true,
        };
        let mut launches = vec![self.predicted(&format!("{op}_forward_{}", tile.name), &work)];
        if splits > 1 {
            launches.push(self.moving(&format!("{op}_add_parts"), (rows * columns).div_ceil(256), parts + BYTES * (rows * columns) as f64));
        }
        launches
    }

    fn attention(&self, [rows, columns, heads, width]: [usize; 4], bytes: f64) -> Predicted {
        let batch = self.batch;
        let (entry, tile) = match (columns <= 80, width) {
            (true, _) => (format!("cross_attention_{width}"), 64),
            (false, 512) => (format!("attention_forward_{width}"), 32),
            (false, _) => (format!("attention_forward_{width}"), 64),
        };
        // Heads are padded to whole steps of the tensor cores, columns to whole tiles.
        let padded = (rows.next_multiple_of(tile) * columns.next_multiple_of(16)) as f64 * (heads * batch) as f64;
        let work = Work {
            blocks: (rows.div_ceil(tile) * heads * batch) as f64,
            threads: if width == 512 { 256 } else { 128 },
            shared: 2 * 64 * (width.next_multiple_of(16) + 8) * 2,
            operations: 4.0 * padded * width.next_multiple_of(16) as f64,
            exponentials: padded,
            bytes,
            cached: 2.0 * BYTES * (rows.div_ceil(tile) * columns * heads * width * batch) as f64,
            asynchronous: true,
        };
        self.predicted(&entry, &work)
    }

    /// One read where a group fits a block's shared memory, two otherwise.
    fn group_norm(&self, positions: usize, channels: usize, groups: usize) -> Vec<Predicted> {
        const STRIP_BYTES: usize = 40 << 10;
        let once = BYTES * (positions * channels * self.batch) as f64;
        let strip = positions * (channels / groups) * 2;
        if strip <= STRIP_BYTES {
            let blocks = (groups * self.batch) as f64;
            let work =
                Work { blocks, threads: 256, shared: strip, operations: 0.0, exponentials: 0.0, bytes: 2.0 * once, cached: 0.0, asynchronous: false };
            return vec![self.predicted("group_norm_strip", &work)];
        }
        let blocks = positions.div_ceil(32) * self.batch;
        let statistics = self.moving("group_norm_statistics", groups * self.batch / 8, (8 * groups * blocks) as f64);
        vec![self.moving("group_norm_apply", blocks, 2.0 * once), self.moving("group_norm_moments", blocks, once), statistics]
    }
}
