//! How long each kernel of a plan takes, as far as its arithmetic, its bytes, its tiles and its occupancy say.

use std::collections::HashMap;

use super::plan::{Attention, GroupNorm, LayerNorm, Op};
use super::products::Product;
use crate::device::DType;
use crate::device::cuda::{Architecture, Cache, KERNELS, Variant, compile_all};
use crate::error::{Result, ensure};
use crate::profiling::Ceilings;
use crate::profiling::occupancy::blocks as blocks_of_processor;

/// Compute capability of an H100, times ten; the element type is f16.
const CAPABILITY: u32 = 90;
pub(super) const BYTES: f64 = 2.0;
pub(super) const PROCESSORS: f64 = 132.0;
/// Clocks a second of its multiprocessors under load.
const CLOCK: f64 = 1.755e9;
/// Exponentials that a multiprocessor computes in one clock (CUDA programming guide, "Arithmetic instructions").
const EXPONENTIALS: f64 = 16.0;
/// What mma.sync reaches there of the rate of wgmma (Luo et al. 2024, "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture").
pub(super) const MMA_SYNC: f64 = 0.629;
/// Bytes on their way that a multiprocessor needs to have the whole bandwidth: 3 TB/s over 700 ns, divided among all.
const BYTES_IN_FLIGHT: f64 = 3.0e12 * 700e-9 / PROCESSORS;
/// Bytes on their way of one thread of a kernel that reads through registers.
const BYTES_OF_THREAD: f64 = 16.0;
/// Bytes a second that the second-level cache gives all multiprocessors together, as microbenchmarks find (Chips and Cheese 2023, "Nvidia's H100").
const SECOND_LEVEL: f64 = 5.5e12;
/// Milliseconds between two kernels of a CUDA graph.
pub(super) const GAP: f64 = 0.001;

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
#[derive(Debug)]
pub(super) struct Work {
    /// Blocks or, of blocks that stay on their multiprocessor, the tiles that they go through.
    pub blocks: f64,
    pub threads: usize,
    pub shared: usize,
    /// With what tiles add beyond the tensors' ends.
    pub operations: f64,
    /// The share of the tensor cores' rate that its instructions reach.
    pub rate: f64,
    /// Bytes that move to and from the second-level cache while the tensor cores of their multiprocessor wait.
    pub serial: f64,
    pub exponentials: f64,
    pub bytes: f64,
    /// Bytes that come from the second-level cache: what a tile reads again because its neighbours read it, too.
    pub cached: f64,
    /// Whether bytes come by asynchronous copies, which need no threads that wait for them.
    pub asynchronous: bool,
}

impl Default for Work {
    /// Nothing at all; mma.sync for what there will be.
    fn default() -> Self {
        Self {
            blocks: 1.0,
            threads: 256,
            shared: 0,
            operations: 0.0,
            rate: MMA_SYNC,
            serial: 0.0,
            exponentials: 0.0,
            bytes: 0.0,
            cached: 0.0,
            asynchronous: false,
        }
    }
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
        let bytes = op.bytes(self.batch, DType::F16);
        let floor = self.ceilings.floor(op.operations() * batch, bytes as u64, Some(DType::F16));
        let mut found = match *op {
            Op::Conv { .. } | Op::Linear { .. } | Op::ConvToInput(_) | Op::LinearToInput(_) => {
                Product::of(op, self.batch, bytes).map_or_else(Vec::new, |product| self.product(&product))
            }
            Op::Attention(sizes) => vec![self.attention(sizes, bytes)],
            Op::AttentionToInputs { sizes, to_queries } => self.attention_gradients(sizes, to_queries),
            Op::GroupNorm(sizes) => self.group_norm(sizes),
            Op::GroupNormToInput(sizes) => self.group_norm_gradient(sizes),
            Op::LayerNorm(LayerNorm { rows, .. }) => vec![self.moving("layer_norm_forward", (rows * self.batch).div_ceil(8), bytes)],
            Op::LayerNormToInput(LayerNorm { rows, .. }) => vec![self.moving("layer_norm_gradient", (rows * self.batch).div_ceil(8), bytes)],
            Op::Moving { entry, written, .. } => vec![self.moving(entry, (written * self.batch).div_ceil(1024), bytes)],
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
        let products = work.operations / (self.ceilings.half_per_second * work.rate * balance) + work.serial / (SECOND_LEVEL * balance);
        let exponentials = work.exponentials / (PROCESSORS * EXPONENTIALS * CLOCK * balance);
        let resident = self.compiled.resident(entry, work.threads, work.shared);
        let present = resident.min(work.threads as f64 * (work.blocks / PROCESSORS).ceil());
        let bandwidth = if work.asynchronous { 1.0 } else { (present * BYTES_OF_THREAD / BYTES_IN_FLIGHT).min(1.0) };
        let memory = (work.bytes / (self.ceilings.bytes_per_second * bandwidth)).max(work.cached / SECOND_LEVEL);
        (products + exponentials).max(memory) * 1e3 + GAP
    }

    pub(super) fn predicted(&self, entry: &str, work: &Work) -> Predicted {
        Predicted { entry: entry.to_owned(), milliseconds: self.time(entry, work), floor: 0.0 }
    }

    pub(super) fn moving(&self, entry: &str, blocks: usize, bytes: f64) -> Predicted {
        let blocks = blocks.max(1) as f64;
        self.predicted(entry, &Work { blocks, threads: 256, bytes, ..Work::default() })
    }

    fn attention(&self, Attention { rows, columns, heads, width }: Attention, bytes: f64) -> Predicted {
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
            ..Work::default()
        };
        self.predicted(&entry, &work)
    }

    /// One read where a group fits a block's shared memory, two otherwise.
    fn group_norm(&self, GroupNorm { positions, channels, groups }: GroupNorm) -> Vec<Predicted> {
        const STRIP_BYTES: usize = 40 << 10;
        let once = BYTES * (positions * channels * self.batch) as f64;
        let strip = positions * (channels / groups) * 2;
        if strip <= STRIP_BYTES {
            let blocks = (groups * self.batch) as f64;
            let work = Work { blocks, threads: 256, shared: strip, bytes: 2.0 * once, ..Work::default() };
            return vec![self.predicted("group_norm_strip", &work)];
        }
        let blocks = positions.div_ceil(32) * self.batch;
        let statistics = self.moving("group_norm_statistics", groups * self.batch / 8, (8 * groups * blocks) as f64);
        vec![self.moving("group_norm_apply", blocks, 2.0 * once), self.moving("group_norm_moments", blocks, once), statistics]
    }
}
