//! Group normalisation with an optional activation behind it.

use crate::autograd::Var;
use crate::error::Result;

/// An activation fused behind a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// x · sigmoid(x).
    Silu,
}

/// y = activation((x - mean) / sqrt(variance + epsilon) · weight + bias), mean and (biased) variance over each group of channels and all positions.
///
/// # Shapes
/// `x [batch, .., channels]`, `weight`, `bias [channels]` -> as `x`; `groups` divides the channels.
pub fn group_norm(x: &Var, weight: &Var, bias: &Var, groups: usize, epsilon: f32, activation: Activation) -> Result<Var> {
    let _ = (x, weight, bias, groups, epsilon, activation);
    todo!()
}
