//! The fused kernel for few columns (`kernels/cross_attention.cu`); `attention::cuda` chooses it and runs the gradients.

use super::MOST_COLUMNS;
use crate::device::cuda::Launch;
use crate::error::Result;
use crate::ops::attention::cuda::{Inputs, pitch};
use crate::tensor::Tensor;

/// Rows of a tile, 16 a warp.
const TILE: usize = 64;
/// Blocks that keep a large device busy: two for each of its multiprocessors.
const BUSY: usize = 264;

/// Fills the output and the statistics.
pub(in crate::ops) fn forward(inputs: &Inputs, output: &Tensor, statistics: &Tensor) -> Result<()> {
    let geometry = inputs.geometry;
    // Keys and values stay with a block: no more blocks a head than are needed to be busy.
    let blocks = geometry.rows.div_ceil(TILE).min(BUSY.div_ceil(geometry.heads * geometry.batch));
    let launch = Launch::new(&inputs.device, &format!("cross_attention_{}", geometry.width), inputs.q.dtype());
    let launch = launch.grid(blocks, geometry.heads, geometry.batch).threads(128).shared(2 * MOST_COLUMNS * pitch(geometry.width) * 2);
    let launch = inputs.weights(launch.tensor(&inputs.q).tensor(&inputs.k).tensor(&inputs.v)).tensor(output).tensor(statistics);
    launch.int(geometry.heads).int(geometry.rows).int(geometry.columns).float(geometry.scale()).run()
}
