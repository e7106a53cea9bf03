//! Loss and gradient in one launch, the total in another (`kernels/focal_loss.cu`).

use super::SMOOTH;
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::ops::loss::cuda::total;
use crate::tensor::{DType, Tensor, scratch};

/// Pixels of a run.
const RUN: usize = 1 << 13;

/// The mean loss `[]` and, where wanted, its gradient in f32.
pub(super) fn focal_loss(device: &Cuda, logits: &Tensor, mask: &Tensor, wants_gradient: bool) -> Result<(Tensor, Option<Tensor>)> {
    let pixels = mask.elements();
    let runs = pixels.div_ceil(RUN);
    let (mask, partial) = (mask.to_dtype(DType::F32)?, scratch(device, &[runs], DType::F32)?);
    let gradient = wants_gradient.then(|| scratch(device, logits.shape(), DType::F32)).transpose()?;
    let launch = Launch::new(device, "focal_loss", logits.dtype()).grid(runs, 1, 1).tensor(logits).tensor(&mask).tensor(&partial);
    launch.optional(gradient.as_ref()).int(pixels).int(RUN).float(SMOOTH).run()?;
    Ok((total(device, &partial, None, [1, runs], (1.0 / pixels as f64) as f32)?, gradient))
}
