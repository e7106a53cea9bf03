//! Weights of image positions from how far they differ from a reference: the map of adaptive re-weighting (METHOD section 8; paper Eq. 7). No gradients.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::device::Device;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;

/// Weights of [`Formula::Balanced`] lie in [1 / BOUND, BOUND].
pub const BOUND: f64 = 2.0;

/// How differences become weights. The sum and the mean of squares are over the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formula {
    /// Eq. 7: w = |m|_1 softmax(1 / sum of squares) over the mask, 0 outside.
    Paper,
    /// The released program's: w proportional to 1 / mean of squares, its mean over the mask 1, clamped to [1, 1.5]; 1 outside.
    Official,
    /// w from 1 / (d / mean(d) + 1/4) for d the mean of squares, within the bounds and with mean 1 over the mask; 1 outside.
    Balanced,
}

/// The weights of every image's positions.
///
/// # Shapes
/// f32 `x`, `reference [batch, height, width, channels]`, `mask [batch, height, width, 1]` of 0 and 1 -> `[batch, height, width]`.
///
/// # Errors
/// When the shapes do not fit or a tensor is not f32.
pub fn weight_map(formula: Formula, x: &Tensor, reference: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let [batch, height, width, channels] = x.dims()?;
    let fits = reference.shape() == x.shape() && mask.shape() == [batch, height, width, 1] && channels > 0;
    ensure!(fits, "weight_map of {:?} needs a reference of its shape and a mask, found {:?} and {:?}", x.shape(), reference.shape(), mask.shape());
    match x.device() {
        Device::Cpu => Tensor::from_f32(cpu::weight_map(formula, channels, x, reference, mask)?, &[batch, height, width]),
        Device::Cuda(device) => cuda::weight_map(&device, formula, x, reference, mask),
    }
}
