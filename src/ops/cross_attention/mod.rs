//! Cross-attention with adaptive re-weighting in one op (METHOD section 8; paper Eq. 7 and 8).

use crate::autograd::Var;
use crate::error::Result;
use crate::tensor::Tensor;

/// Weights of image positions on the attention to some columns of the context. No gradient flows to them.
#[derive(Clone, Debug)]
pub struct Reweighting {
    /// `[batch, m]`, 1 for a column that the weights apply to, 0 for the others.
    pub columns: Tensor,
    /// `[batch, n]`: multiplies the softmaxed attention of each position to those columns (paper, Eq. 8).
    pub probability: Option<Tensor>,
    /// `[batch, n]`: multiplies the scaled logits of each position to those columns (released program).
    pub logit: Option<Tensor>,
}

/// l = q kᵀ / sqrt(d); l *= logit weight on marked columns; p = softmax(l); p *= probability weight on marked columns; p v. Per head, d = channels / heads.
///
/// # Shapes
/// `q [batch, n, channels]`, `k`, `v [batch, m, channels]` -> `[batch, n, channels]`.
pub fn cross_attention(q: &Var, k: &Var, v: &Var, heads: usize, reweighting: &Reweighting) -> Result<Var> {
    let _ = (q, k, v, heads, reweighting);
    todo!()
}
