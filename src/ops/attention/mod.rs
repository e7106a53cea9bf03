//! Multi-head scaled dot-product attention.

use crate::autograd::Var;
use crate::error::Result;

/// softmax(q kᵀ / sqrt(d)) v per head, d = channels / heads.
///
/// # Shapes
/// `q [batch, n, channels]`, `k`, `v [batch, m, channels]` -> `[batch, n, channels]`; head `h` owns channels `h·d .. (h+1)·d`. With `causal`, row i sees
/// columns 0..=i (n = m).
pub fn attention(q: &Var, k: &Var, v: &Var, heads: usize, causal: bool) -> Result<Var> {
    let _ = (q, k, v, heads, causal);
    todo!()
}
