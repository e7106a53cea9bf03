//! Functions of two elements of tensors of one shape.

use super::{cpu, cuda};
use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::tensor::{DType, Tensor};

/// A function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// a · b.
    Mul,
}

/// Applies `op` to every pair of elements; the result has the element type of `a`.
pub(super) fn binary(op: Binary, a: &Var, b: &Var) -> Result<Var> {
    ensure!(a.shape() == b.shape(), "{op:?} needs two tensors of one shape, found {:?} and {:?}", a.shape(), b.shape());
    let output = forward(op, a, b, a.dtype())?;
    let types = [a.dtype(), b.dtype()];
    if op == Binary::Mul {
        let (left, right) = (a.tensor().clone(), b.tensor().clone());
        return Ok(Var::record(output, [a, b], move |gradient, wanted| {
            let times = |other: &Tensor, dtype| forward(Binary::Mul, gradient, other, dtype);
            Ok([wanted[0].then(|| times(&right, types[0])).transpose()?, wanted[1].then(|| times(&left, types[1])).transpose()?])
        }));
    }
    Ok(Var::record(output, [a, b], move |gradient, wanted| {
        let second = match op {
            _ if !wanted[1] => None,
            Binary::Sub => Some(negative(gradient)?.to_dtype(types[1])?),
            _ => Some(gradient.to_dtype(types[1])?),
        };
        Ok([wanted[0].then(|| gradient.clone()), second])
    }))
}

pub(super) fn forward(op: Binary, a: &Tensor, b: &Tensor, dtype: DType) -> Result<Tensor> {
    match a.device() {
        Device::Cpu => Tensor::from_f32_as(cpu::binary(op, &a.f32s()?, &b.f32s()?), a.shape(), dtype),
        Device::Cuda(device) => cuda::binary(&device, op, a, b, dtype),
    }
}

fn negative(x: &Tensor) -> Result<Tensor> {
    super::unary::forward(super::Unary::Affine { factor: -1.0, offset: 0.0 }, x)
}
