//! Weighted sums of latents.

use crate::autograd::Var;
use crate::error::{Result, ensure};
use crate::ops;
use crate::tensor::Tensor;

/// a · x + b · y.
pub(super) fn combine(a: f64, x: &Tensor, b: f64, y: &Tensor) -> Result<Tensor> {
    let scaled = |factor: f64, tensor: &Tensor| ops::affine(&Var::constant(tensor.clone()), factor as f32, 0.0);
    Ok(ops::add(&scaled(a, x)?, &scaled(b, y)?)?.into_tensor())
}

/// a · x + b · y with one pair of weights for each sample of the batch (the first axis).
pub(super) fn combine_samples(weights: &[(f64, f64)], x: &Tensor, y: &Tensor) -> Result<Tensor> {
    ensure!(x.rank() >= 2 && x.dim(0) == weights.len(), "{} time steps for latents of shape {:?}", weights.len(), x.shape());
    let channels = x.dim(x.rank() - 1);
    let scaled = |factors: Vec<f32>, tensor: &Tensor| -> Result<Var> {
        let rows: Vec<f32> = factors.into_iter().flat_map(|factor| std::iter::repeat_n(factor, channels)).collect();
        let rows = Tensor::from_f32(rows, &[weights.len(), channels])?.to_device(tensor.device())?;
        ops::broadcast_mul(&Var::constant(tensor.clone()), &Var::constant(rows))
    };
    let first = scaled(weights.iter().map(|pair| pair.0 as f32).collect(), x)?;
    let second = scaled(weights.iter().map(|pair| pair.1 as f32).collect(), y)?;
    Ok(ops::add(&first, &second)?.into_tensor())
}
