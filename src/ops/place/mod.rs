//! The same values on another device or in another element type, at the borders of networks.

#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::tensor::DType;

/// x on `device` in `dtype`, rounded to nearest even; its gradient goes back to where x is, in x's type. x itself where nothing changes.
///
/// # Shapes
/// Any; the same comes out.
///
/// # Errors
/// When the GPU's memory is full (exit code 2).
pub fn place(x: &Var, device: Device, dtype: DType) -> Result<Var> {
    let (from, before) = (x.device(), x.dtype());
    if (from, before) == (device, dtype) {
        return Ok(x.clone());
    }
    let output = x.to_device(device)?.to_dtype(dtype)?;
    Ok(Var::record(output, [x], move |gradient, _| Ok([Some(gradient.to_device(from)?.to_dtype(before)?)])))
}
