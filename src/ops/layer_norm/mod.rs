//! Layer normalisation over the last axis.

use crate::autograd::Var;
use crate::error::Result;

/// y = (x - mean) / sqrt(variance + epsilon) · weight + bias, mean and (biased) variance over each row.
///
/// # Shapes
/// `x [.., channels]`, `weight`, `bias [channels]` -> as `x`.
pub fn layer_norm(x: &Var, weight: &Var, bias: &Var, epsilon: f32) -> Result<Var> {
    let _ = (x, weight, bias, epsilon);
    todo!()
}
