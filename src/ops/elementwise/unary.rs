//! Functions of one element. A new one is a row of [`Unary`], its value and its slope in `cpu.rs`, and a function in `mod.rs`.

use super::{cpu, cuda};
use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::tensor::Tensor;

/// A function of one element, with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// x · sigmoid(scale · x).
    Swish {
        /// 1 for SiLU, 1.702 for quick GELU.
        scale: f32,
    },
    /// x · Φ(x).
    Gelu,
    /// x where positive, slope · x elsewhere; slope 0 is ReLU.
    LeakyRelu {
        /// The factor of what is not positive.
        slope: f32,
    },
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// e^x.
    Exp,
    /// |x|.
    Abs,
    /// x limited to [low, high].
    Clamp {
        /// The lower limit.
        low: f32,
        /// The upper limit.
        high: f32,
    },
    /// factor · x + offset.
    Affine {
        /// The slope.
        factor: f32,
        /// The value at 0.
        offset: f32,
    },
}

/// Applies `op` to every element; the input is kept for the gradient.
pub(super) fn unary(op: Unary, x: &Var) -> Result<Var> {
    let output = forward(op, x)?;
    if let Unary::Affine { factor, .. } = op {
        // Its slope is the same everywhere: nothing to keep.
        return Ok(Var::record(output, [x], move |gradient, _| Ok([Some(forward(Unary::Affine { factor, offset: 0.0 }, gradient)?)])));
    }
    let input = x.tensor().clone();
    Ok(Var::record(output, [x], move |gradient, _| Ok([Some(backward(op, &input, gradient)?)])))
}

pub(super) fn forward(op: Unary, x: &Tensor) -> Result<Tensor> {
    match x.device() {
        Device::Cpu => Tensor::from_f32_as(cpu::unary(op, &x.f32s()?), x.shape(), x.dtype()),
        Device::Cuda(device) => cuda::unary(&device, op, x),
    }
}

fn backward(op: Unary, x: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    match x.device() {
        Device::Cpu => Tensor::from_f32_as(cpu::unary_backward(op, &x.f32s()?, &gradient.f32s()?), x.shape(), x.dtype()),
        Device::Cuda(device) => cuda::unary_backward(&device, op, x, gradient),
    }
}
