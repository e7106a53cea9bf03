//! Reductions to one number, in a fixed order (the result does not depend on the number of threads).

use crate::autograd::Var;
use crate::error::Result;
use crate::tensor::Tensor;

/// Sum of all elements, shape `[]`.
pub fn sum(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// Mean of all elements, shape `[]`.
pub fn mean(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// What the masked loss is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskedMean {
    /// The number of elements (paper, released program): a small mask gives a small loss.
    Elements,
    /// The sum of the mask over all channels of each sample, then the batch size: every sample weighs the same.
    MaskArea,
}

/// The masked loss (paper Eq. 6) with its gradient in one pass: mean of (mask · (target - prediction))².
///
/// # Shapes
/// `prediction`, `target [batch, height, width, channels]`, `mask [batch, height, width, 1]` -> `[]`. Gradient to the prediction only.
pub fn masked_mse(prediction: &Var, target: &Tensor, mask: &Tensor, mean: MaskedMean) -> Result<Var> {
    let _ = (prediction, target, mask, mean);
    todo!()
}

/// Mean of (target - prediction)²; gradient to the prediction only.
pub fn mse(prediction: &Var, target: &Tensor) -> Result<Var> {
    let _ = (prediction, target);
    todo!()
}
