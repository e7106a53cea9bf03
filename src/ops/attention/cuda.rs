//! Which kernel an attention runs on: the fused cross-attention for few columns, flash attention on tensor cores, or the plain path
//! (`kernels/attention.cu`, `kernels/attention_plain.cu`, `kernels/cross_attention.cu`). The plain path computes everything, so it stands in for the others
//! where those were found wrong.

use super::Geometry;
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::ops::cross_attention::cuda as cross_attention;
use crate::ops::{Reweighting, Route, cross_attention::MOST_COLUMNS};
use crate::tensor::{DType, Tensor, scratch};

/// Head widths of the tensor cores' paths. Of the widest heads the depth is divided among [`SLICES`] warps, which exchange their shares of the products.
const WIDTHS: [usize; 5] = [40, 64, 80, 128, 160];
const WIDEST: usize = 512;
const SLICES: usize = 4;
/// Rows (or columns) of a tile of the plain path.
const PLAIN_TILE: usize = 16;
/// Rows (or columns) of a tile of the others, and of the widest heads' tiles; of these 16 belong to the same warps.
const TILE: usize = 64;
const WIDEST_TILE: usize = 32;

/// q, k and v of one element type, and the weights in f32.
#[derive(Debug)]
pub(in crate::ops) struct Inputs {
    pub device: Cuda,
    pub geometry: Geometry,
    pub q: Tensor,
    pub k: Tensor,
    pub v: Tensor,
    pub weights: Option<Reweighting>,
}

/// Whether flash attention on tensor cores has heads of so many channels.
fn has_tiles(width: usize) -> bool {
    WIDTHS.contains(&width) || width == WIDEST
}

/// Bytes of what the warps of a block of the widest heads exchange, for `products` tiles of so many columns (`exchange_shares`).
fn exchanged(products: usize, columns: usize) -> usize {
    products * SLICES * WIDEST_TILE * columns * size_of::<f32>()
}

/// Elements of a vector in shared memory (`Width::PITCH`).
pub(in crate::ops) fn pitch(width: usize) -> usize {
    width.next_multiple_of(16) + 8
}

impl Inputs {
    /// Everything in the element type of q, the weights in f32.
    pub fn new(device: Cuda, geometry: Geometry, [q, k, v]: [&Tensor; 3], weights: Option<&Reweighting>) -> Result<Self> {
        let f32s = |weights: &Option<Tensor>| weights.as_ref().map(|weights| weights.to_dtype(DType::F32)).transpose();
        let f32_weights = |weights: &Reweighting| {
            let (probability, logit) = (f32s(&weights.probability)?, f32s(&weights.logit)?);
            Ok::<_, crate::error::Error>(Reweighting { columns: weights.columns.to_dtype(DType::F32)?, probability, logit })
        };
        let weights = weights.map(f32_weights).transpose()?;
        Ok(Self { device, geometry, q: q.clone(), k: k.to_dtype(q.dtype())?, v: v.to_dtype(q.dtype())?, weights })
    }

    /// The output and the statistics `[batch, heads, rows, 2]`: the largest logit, 1 / sum of e^(logit - largest).
    pub fn forward(&self) -> Result<(Tensor, Tensor)> {
        let Geometry { batch, heads, rows, width, .. } = self.geometry;
        let output = scratch(&self.device, self.q.shape(), self.q.dtype())?;
        let statistics = scratch(&self.device, &[batch, heads, rows, 2], DType::F32)?;
        if output.elements() == 0 {
            return Ok((output, statistics));
        }
        let claims = self.is_fused() || self.weights.is_none() && has_tiles(width);
        match self.route(claims) {
            Route::Plain => {
                let launch = self.launch("attention_plain_forward", rows, PLAIN_TILE, 128).shared(self.plain_shared());
                let launch = self.weights(launch.tensor(&self.q).tensor(&self.k).tensor(&self.v)).tensor(&output).tensor(&statistics);
                self.sizes(launch, true).run()?;
            }
            _ if self.is_fused() => cross_attention::forward(self, &output, &statistics)?,
            _ => self.flash(&output, &statistics)?,
        }
        Ok((output, statistics))
    }

    fn flash(&self, output: &Tensor, statistics: &Tensor) -> Result<()> {
        let Geometry { rows, width, .. } = self.geometry;
        let (tile, threads, columns, exchanged) = if width == WIDEST { (WIDEST_TILE, 256, 32, exchanged(1, 32)) } else { (TILE, 128, 64, 0) };
        let launch = self.launch(&format!("attention_forward_{width}"), rows, tile, threads).shared(2 * columns * pitch(width) * 2 + exchanged);
        self.sizes(launch.tensor(&self.q).tensor(&self.k).tensor(&self.v).tensor(output).tensor(statistics), false).run()
    }

    /// The gradients of q, k and v.
    pub fn backward(&self, output: &Tensor, statistics: &Tensor, gradient: &Tensor, wanted: [bool; 3]) -> Result<[Option<Tensor>; 3]> {
        let Geometry { batch, heads, rows, width, .. } = self.geometry;
        let like = |tensor: &Tensor| scratch(&self.device, tensor.shape(), tensor.dtype());
        if output.elements() == 0 {
            return Ok([None, None, None]);
        }
        let corrections = scratch(&self.device, &[batch, heads, rows], DType::F32)?;
        let launch = self.launch("attention_corrections", rows, 4, 128).tensor(output).tensor(gradient).tensor(&corrections);
        launch.int(heads).int(rows).int(width).run()?;
        let saved = [gradient, statistics, &corrections];
        let mut shares = [None, None, None];
        if wanted[0] {
            let share = like(&self.q)?;
            self.gradient("q", self.geometry.rows, saved, &[&share])?;
            shares[0] = Some(share);
        }
        if self.on_tensor_cores() && (wanted[1] || wanted[2]) {
            let both = [like(&self.k)?, like(&self.v)?];
            self.gradient("k_v", self.geometry.columns, saved, &[&both[0], &both[1]])?;
            let [to_k, to_v] = both;
            (shares[1], shares[2]) = (wanted[1].then_some(to_k), wanted[2].then_some(to_v));
            return Ok(shares);
        }
        for (index, name) in [(1, "k"), (2, "v")] {
            if wanted[index] {
                let share = like(&self.k)?;
                self.gradient(name, self.geometry.columns, saved, &[&share])?;
                shares[index] = Some(share);
            }
        }
        Ok(shares)
    }

    /// Launches `attention_to_<name>_<width>` or `attention_plain_to_<name>` for `own` vectors.
    fn gradient(&self, name: &str, own: usize, saved: [&Tensor; 3], outputs: &[&Tensor]) -> Result<()> {
        let (tensor_cores, width) = (self.on_tensor_cores(), self.geometry.width);
        let launch = if tensor_cores {
            let entry = format!("attention_to_{name}_{width}");
            // Two factors of so many others pass by at a time, the next ones copied meanwhile; the own ones lie beside them, of the widest heads in registers.
            let passing = if width == WIDEST || name == "k_v" && width == 160 { 16 } else { 32 };
            let vectors = |kept: usize| (2 * kept + 4 * passing) * pitch(width) * DType::F16.bytes();
            if width == WIDEST {
                self.launch(&entry, own, WIDEST_TILE, 256).shared(vectors(0) + exchanged(2, passing))
            } else {
                self.launch(&entry, own, TILE, 128).shared(vectors(TILE))
            }
        } else {
            self.launch(&format!("attention_plain_to_{name}"), own, PLAIN_TILE, 128).shared(self.plain_shared())
        };
        let launch = self.weights(launch.tensor(&self.q).tensor(&self.k).tensor(&self.v));
        let launch = saved.into_iter().chain(outputs.iter().copied()).fold(launch, Launch::tensor);
        self.sizes(launch, !tensor_cores).run()
    }

    /// Whether the fused kernel has the shape.
    fn is_fused(&self) -> bool {
        let Geometry { columns, width, causal, .. } = self.geometry;
        columns <= MOST_COLUMNS && !causal && WIDTHS.contains(&width)
    }

    /// The plain route, or the tensor cores' where they claim the shape and may be taken. The fused kernel is judged apart from the others, each with the
    /// gradients behind it.
    fn route(&self, claims: bool) -> Route {
        let op = if self.is_fused() { "cross_attention" } else { "attention" };
        let usable = Route::usable(self.device, op, self.q.dtype(), [claims.then_some(Route::TensorCores)]);
        usable.last().copied().unwrap_or(Route::Plain).take()
    }

    /// Whether gradients are computed there.
    fn on_tensor_cores(&self) -> bool {
        self.route(has_tiles(self.geometry.width)) == Route::TensorCores
    }

    /// Sums, two tiles of products, parts of both sides and a correction a row.
    fn plain_shared(&self) -> usize {
        (PLAIN_TILE * self.geometry.width + 3 * PLAIN_TILE * 33 + 32 * 33 + PLAIN_TILE) * size_of::<f32>()
    }

    fn launch(&self, entry: &str, own: usize, tile: usize, threads: usize) -> Launch {
        Launch::new(&self.device, entry, self.q.dtype()).grid(own.div_ceil(tile), self.geometry.heads, self.geometry.batch).threads(threads)
    }

    /// Adds the marks and the weights.
    pub fn weights(&self, launch: Launch) -> Launch {
        let weights = self.weights.as_ref();
        let launch = launch.optional(weights.map(|weights| &weights.columns));
        launch.optional(weights.and_then(|weights| weights.probability.as_ref())).optional(weights.and_then(|weights| weights.logit.as_ref()))
    }

    fn sizes(&self, launch: Launch, with_width: bool) -> Launch {
        let Geometry { heads, rows, columns, width, causal, .. } = self.geometry;
        let launch = launch.int(heads).int(rows).int(columns);
        let launch = if with_width { launch.int(width) } else { launch };
        launch.int(usize::from(causal)).float(self.geometry.scale())
    }
}
