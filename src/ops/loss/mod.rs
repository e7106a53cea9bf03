//! Reductions to one number, in a fixed order (the result does not depend on the number of threads). The number is f32 whatever the input's type.

mod cpu;
pub(in crate::ops) mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;

/// Sum of all elements, shape `[]`.
pub fn sum(x: &Var) -> Result<Var> {
    scaled_sum(x, 1.0)
}

/// Mean of all elements, shape `[]`.
pub fn mean(x: &Var) -> Result<Var> {
    ensure!(x.elements() > 0, "the mean of no elements, shape {:?}", x.shape());
    scaled_sum(x, 1.0 / x.elements() as f64)
}

fn scaled_sum(x: &Var, factor: f64) -> Result<Var> {
    let total = match x.device() {
        Device::Cpu => Tensor::scalar((crate::ops::reduction::sum(&x.f32s()?) * factor) as f32),
        Device::Cuda(device) => cuda::sum(&device, x, factor)?,
    };
    let (shape, dtype) = (x.shape().to_vec(), x.dtype());
    Ok(Var::record(total, [x], move |gradient, _| {
        Ok([Some(match gradient.device() {
            Device::Cpu => Tensor::full((f64::from(gradient.item()?) * factor) as f32, &shape).to_dtype(dtype)?,
            Device::Cuda(device) => cuda::sum_gradient(&device, gradient, &shape, dtype, factor)?,
        })])
    }))
}

/// What the masked loss is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskedMean {
    /// The number of elements (paper, released program): a small mask gives a small loss.
    Elements,
    /// The sum of the mask over all channels of each sample, then the batch size: every sample weighs the same. A sample with an empty mask
    /// counts as 0.
    MaskArea,
}

/// Sizes of a masked loss.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    batch: usize,
    positions: usize,
    channels: usize,
}

/// The masked loss (paper Eq. 6) with its gradient in one pass: mean of (mask · (target - prediction))².
///
/// # Shapes
/// `prediction`, `target [batch, height, width, channels]`, `mask [batch, height, width, 1]` -> `[]`. Gradient to the prediction only.
pub fn masked_mse(prediction: &Var, target: &Tensor, mask: &Tensor, mean: MaskedMean) -> Result<Var> {
    let [batch, height, width, channels] = prediction.dims()?;
    let fits = target.shape() == prediction.shape() && mask.shape() == [batch, height, width, 1] && prediction.elements() > 0;
    ensure!(
        fits,
        "masked_mse: prediction {:?} needs a target of its shape and a mask [{batch}, {height}, {width}, 1], found {:?} and {:?}",
        prediction.shape(),
        target.shape(),
        mask.shape()
    );
    let geometry = Geometry { batch, positions: height * width, channels };
    squared_error(geometry, prediction, target, Some((mask, mean)))
}

/// Mean of (target - prediction)²; gradient to the prediction only.
pub fn mse(prediction: &Var, target: &Tensor) -> Result<Var> {
    let fits = target.shape() == prediction.shape() && prediction.elements() > 0;
    ensure!(fits, "mse needs two tensors of one shape, found {:?} and {:?}", prediction.shape(), target.shape());
    squared_error(Geometry { batch: 1, positions: prediction.elements(), channels: 1 }, prediction, target, None)
}

fn squared_error(geometry: Geometry, prediction: &Var, target: &Tensor, mask: Option<(&Tensor, MaskedMean)>) -> Result<Var> {
    let (shape, dtype) = (prediction.shape().to_vec(), prediction.dtype());
    match prediction.device() {
        Device::Cpu => {
            let weights = mask.map(|(mask, mean)| Ok::<_, crate::error::Error>((mask.f32s()?, mean))).transpose()?;
            let weights = weights.as_ref().map(|(mask, mean)| (&mask[..], *mean));
            let (loss, gradient) = cpu::squared_error(geometry, &prediction.f32s()?, &target.f32s()?, weights, prediction.wants_gradient());
            Ok(Var::record(Tensor::scalar(loss as f32), [prediction], move |upstream, _| {
                let (factor, mut share) = (upstream.item()?, gradient);
                if factor != 1.0 {
                    share.iter_mut().for_each(|value| *value *= factor);
                }
                Ok([Some(Tensor::from_f32_as(share, &shape, dtype)?)])
            }))
        }
        Device::Cuda(device) => {
            let (loss, gradient) = cuda::squared_error(&device, geometry, prediction, target, mask, prediction.wants_gradient())?;
            Ok(Var::record(loss, [prediction], move |upstream, _| {
                Ok([gradient.map(|gradient| cuda::scaled_gradient(&device, &gradient, upstream, dtype)).transpose()?])
            }))
        }
    }
}
