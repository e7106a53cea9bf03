//! A warp a row (`kernels/softmax.cu`).

use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::tensor::{DType, Tensor, scratch};

/// Rows of a block.
const ROWS: usize = 8;

fn launch(device: &Cuda, entry: &str, dtype: DType, blocks: usize) -> Launch {
    Launch::new(device, entry, dtype).grid(blocks, 1, 1).threads(256)
}

/// Softmax of every row.
pub(super) fn softmax(device: &Cuda, classes: usize, x: &Tensor) -> Result<Tensor> {
    let (output, rows) = (scratch(device, x.shape(), x.dtype())?, x.elements() / classes);
    launch(device, "softmax_forward", x.dtype(), rows.div_ceil(ROWS)).tensor(x).tensor(&output).int(rows).int(classes).run()?;
    Ok(output)
}

/// p (dy - sum of p dy), from the probabilities.
pub(super) fn softmax_backward(device: &Cuda, classes: usize, probabilities: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let (output, rows) = (scratch(device, gradient.shape(), gradient.dtype())?, gradient.elements() / classes);
    let launch = launch(device, "softmax_gradient", gradient.dtype(), rows.div_ceil(ROWS)).tensor(probabilities).tensor(gradient);
    launch.tensor(&output).int(rows).int(classes).run()?;
    Ok(output)
}

/// The mean cross-entropy `[]` and its gradient, (softmax - one-hot) / rows, both in f32; the labels are in range.
pub(super) fn cross_entropy(device: &Cuda, classes: usize, x: &Tensor, labels: &Tensor) -> Result<(Tensor, Tensor)> {
    let rows = x.elements() / classes;
    let (losses, loss) = (scratch(device, &[rows], DType::F32)?, scratch(device, &[], DType::F32)?);
    let gradient = scratch(device, x.shape(), DType::F32)?;
    let launch_rows = launch(device, "softmax_cross_entropy", x.dtype(), rows.div_ceil(ROWS)).tensor(x).tensor(labels);
    launch_rows.tensor(&losses).tensor(&gradient).int(rows).int(classes).run()?;
    launch(device, "softmax_mean_loss", x.dtype(), 1).tensor(&losses).tensor(&loss).int(rows).run()?;
    Ok((loss, gradient))
}

/// `upstream` · gradient in the element type of the scores.
pub(super) fn scaled_gradient(device: &Cuda, gradient: &Tensor, upstream: &Tensor, dtype: DType) -> Result<Tensor> {
    let output = scratch(device, gradient.shape(), dtype)?;
    let launch = launch(device, "softmax_scaled_gradient", dtype, gradient.elements().div_ceil(256));
    launch.tensor(gradient).tensor(upstream).tensor(&output).int(gradient.elements()).run()?;
    Ok(output)
}
