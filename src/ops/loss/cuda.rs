//! Sums in runs, then in one block (`kernels/loss.cu`).

use super::{Geometry, MaskedMean};
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::tensor::{DType, Tensor, scratch};

/// Elements of a run.
const RUN: usize = 1 << 14;

fn launch(device: &Cuda, entry: &str, dtype: DType, blocks: [usize; 2]) -> Launch {
    Launch::new(device, entry, dtype).grid(blocks[0], blocks[1], 1).threads(256)
}

/// factor · sum of all elements, `[]` in f32.
pub(super) fn sum(device: &Cuda, x: &Tensor, factor: f64) -> Result<Tensor> {
    let runs = x.elements().div_ceil(RUN).max(1);
    let partial = scratch(device, &[runs], DType::F32)?;
    launch(device, "sum_of_run", x.dtype(), [runs, 1]).tensor(x).tensor(&partial).int(x.elements()).int(RUN).run()?;
    total(device, &partial, None, [1, runs], factor as f32)
}

/// The sum of the runs of every sample, times its scale.
pub(in crate::ops) fn total(device: &Cuda, partial: &Tensor, scales: Option<&Tensor>, [samples, runs]: [usize; 2], scale: f32) -> Result<Tensor> {
    let loss = scratch(device, &[], DType::F32)?;
    let launch = launch(device, "squared_error_total", DType::F32, [1, 1]).tensor(partial).optional(scales).tensor(&loss);
    launch.int(samples).int(runs).float(scale).run()?;
    Ok(loss)
}

/// The gradient of a sum: `upstream` · factor everywhere.
pub(super) fn sum_gradient(device: &Cuda, upstream: &Tensor, shape: &[usize], dtype: DType, factor: f64) -> Result<Tensor> {
    let output = scratch(device, shape, dtype)?;
    if output.elements() > 0 {
        let launch = launch(device, "sum_gradient", dtype, [output.elements().div_ceil(256), 1]);
        launch.tensor(upstream).tensor(&output).int(output.elements()).float(factor as f32).run()?;
    }
    Ok(output)
}

/// The loss `[]` and, where wanted, its gradient in f32.
pub(super) fn squared_error(
    device: &Cuda,
    geometry: Geometry,
    prediction: &Tensor,
    target: &Tensor,
    mask: Option<(&Tensor, MaskedMean)>,
    wants_gradient: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let Geometry { batch, positions, channels } = geometry;
    let target = target.to_dtype(prediction.dtype())?;
    let weights = mask.map(|(mask, _)| mask.to_dtype(DType::F32)).transpose()?;
    let scales = match (&weights, mask) {
        (Some(weights), Some((_, MaskedMean::MaskArea))) => {
            let scales = scratch(device, &[batch], DType::F32)?;
            let launch = launch(device, "squared_error_scales", DType::F32, [batch, 1]).tensor(weights).tensor(&scales);
            launch.int(batch).int(positions).int(channels).run()?;
            Some(scales)
        }
        _ => None,
    };
    let scale = (1.0 / (batch * positions * channels) as f64) as f32;
    let runs = (positions * channels).div_ceil(RUN);
    let partial = scratch(device, &[batch, runs], DType::F32)?;
    let gradient = wants_gradient.then(|| scratch(device, prediction.shape(), DType::F32)).transpose()?;
    let launch = launch(device, "squared_error", prediction.dtype(), [runs, batch]).tensor(prediction).tensor(&target);
    let launch = launch.optional(weights.as_ref()).optional(scales.as_ref()).tensor(&partial).optional(gradient.as_ref());
    launch.int(positions).int(channels).int(RUN).float(scale).run()?;
    Ok((total(device, &partial, scales.as_ref(), [batch, runs], scale)?, gradient))
}

/// `upstream` · gradient in the element type of the prediction.
pub(in crate::ops) fn scaled_gradient(device: &Cuda, gradient: &Tensor, upstream: &Tensor, dtype: DType) -> Result<Tensor> {
    let output = scratch(device, gradient.shape(), dtype)?;
    let launch = launch(device, "scaled_gradient", dtype, [gradient.elements().div_ceil(256), 1]);
    launch.tensor(gradient).tensor(upstream).tensor(&output).int(gradient.elements()).run()?;
    Ok(output)
}
