//! Fully connected: y = x Wᵀ + b over the last axis.

use crate::autograd::Var;
use crate::error::Result;

/// y = x Wᵀ + b.
///
/// # Shapes
/// `x [.., in]`, `weight [out, in]`, `bias [out]` -> `[.., out]`.
pub fn linear(x: &Var, weight: &Var, bias: Option<&Var>) -> Result<Var> {
    let _ = (x, weight, bias);
    todo!()
}
