//! Batch normalisation over batch and positions.

use crate::autograd::Var;
use crate::error::Result;
use crate::tensor::Tensor;

/// Which statistics normalise.
#[derive(Clone, Copy, Debug)]
pub enum BatchNormMode<'a> {
    /// The batch's own; gradients flow through them.
    Batch,
    /// Given ones, constant.
    Running {
        /// `[channels]`.
        mean: &'a Tensor,
        /// `[channels]`.
        variance: &'a Tensor,
    },
}

/// The statistics of one batch, for the running averages.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// `[channels]`.
    pub mean: Tensor,
    /// `[channels]`, divided by count - 1.
    pub unbiased_variance: Tensor,
}

/// y = (x - mean) / sqrt(variance + epsilon) · weight + bias per channel; the batch's statistics come back in [`BatchNormMode::Batch`].
///
/// # Shapes
/// `x [batch, .., channels]`, `weight`, `bias [channels]` -> as `x`.
pub fn batch_norm(x: &Var, weight: &Var, bias: &Var, mode: BatchNormMode, epsilon: f32) -> Result<(Var, Option<BatchStatistics>)> {
    let _ = (x, weight, bias, mode, epsilon);
    todo!()
}
