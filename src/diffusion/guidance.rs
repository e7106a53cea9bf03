//! Classifier-free guidance (Ho and Salimans 2022).

use crate::diffusion::combine::combine;
use crate::error::Result;
use crate::tensor::Tensor;

/// unconditional + scale · (conditional - unconditional): scale 1 is the conditional prediction alone, larger ones exaggerate the prompt.
pub fn guide(unconditional: &Tensor, conditional: &Tensor, scale: f64) -> Result<Tensor> {
    combine(1.0 - scale, unconditional, scale, conditional)
}
