//! Launches of `kernels/layer_norm.cu`: a warp a row.

use super::Geometry;
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::ops::product::channel_sums_shared;
use crate::tensor::{DType, Tensor, scratch};

/// Rows of a block.
const ROWS: usize = 8;
/// Rows whose shares of the parameters' gradients one block adds.
const RUN: usize = 64;

/// The normalised rows and the statistics `[rows, 2]`: mean, 1 / sqrt(variance + epsilon).
pub(super) fn forward(device: &Cuda, geometry: Geometry, x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f32) -> Result<(Tensor, Tensor)> {
    let Geometry { rows, channels } = geometry;
    let (weight, bias) = (weight.to_dtype(x.dtype())?, bias.to_dtype(x.dtype())?);
    let (output, statistics) = (scratch(device, x.shape(), x.dtype())?, scratch(device, &[rows, 2], DType::F32)?);
    let launch = Launch::new(device, "layer_norm_forward", x.dtype()).grid(rows.div_ceil(ROWS), 1, 1).threads(256);
    let launch = launch.tensor(x).tensor(&weight).tensor(&bias).tensor(&output).tensor(&statistics);
    launch.int(rows).int(channels).float(epsilon).run()?;
    Ok((output, statistics))
}

/// The gradient of x.
pub(super) fn backward(device: &Cuda, geometry: Geometry, x: &Tensor, weight: &Tensor, statistics: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let Geometry { rows, channels } = geometry;
    let weight = weight.to_dtype(x.dtype())?;
    let output = scratch(device, x.shape(), x.dtype())?;
    let launch = Launch::new(device, "layer_norm_gradient", x.dtype()).grid(rows.div_ceil(ROWS), 1, 1).threads(256);
    launch.tensor(x).tensor(&weight).tensor(statistics).tensor(gradient).tensor(&output).int(rows).int(channels).run()?;
    Ok(output)
}

/// The gradients of weight and bias, in x's element type.
pub(super) fn parameter_gradients(device: &Cuda, geometry: Geometry, x: &Tensor, statistics: &Tensor, gradient: &Tensor) -> Result<[Tensor; 2]> {
    let Geometry { rows, channels } = geometry;
    let runs = rows.div_ceil(RUN);
    let sums = scratch(device, &[runs, channels, 2], DType::F32)?;
    let launch = Launch::new(device, "layer_norm_parameter_sums", x.dtype()).grid(runs, 1, 1).threads(256);
    let launch = launch.shared(channel_sums_shared(channels, x.dtype())).tensor(x).tensor(statistics).tensor(gradient);
    launch.tensor(&sums).int(rows).int(channels).int(RUN).run()?;
    let outputs = [scratch(device, &[channels], x.dtype())?, scratch(device, &[channels], x.dtype())?];
    let launch = Launch::new(device, "layer_norm_to_parameters", x.dtype()).grid(channels.div_ceil(256), 1, 1).threads(256);
    launch.tensor(&sums).tensor(&outputs[0]).tensor(&outputs[1]).int(channels).int(runs).run()?;
    Ok(outputs)
}
