//! Cross-attention with adaptive re-weighting in one op (METHOD section 8; paper Eq. 7 and 8).

pub(in crate::ops) mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::error::{Result, ensure};
use crate::ops::attention::{self, Geometry};
use crate::tensor::Tensor;

/// Columns that the fused CUDA kernel holds; attention with more takes other kernels.
pub(in crate::ops) const MOST_COLUMNS: usize = 80;

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
    let geometry = Geometry::new("cross_attention", q, k, v, heads, false)?;
    let Geometry { batch, rows, columns, .. } = geometry;
    let marks = reweighting.columns.shape();
    ensure!(marks == [batch, columns], "cross_attention: {batch} samples of {columns} columns need marks [{batch}, {columns}], found {marks:?}");
    for (name, weights) in [("probability", &reweighting.probability), ("logit", &reweighting.logit)] {
        let Some(weights) = weights else { continue };
        let found = weights.shape();
        ensure!(
            found == [batch, rows],
            "cross_attention: {batch} samples of {rows} positions need {name} weights [{batch}, {rows}], found {found:?}"
        );
    }
    let weighs = reweighting.probability.is_some() || reweighting.logit.is_some();
    attention::apply(geometry, q, k, v, weighs.then_some(reweighting))
}
