//! Products of one half of the channels with a function of the other.

use super::{cpu, cuda};
use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;

/// a · gelu(b) for the halves a, b of the last axis.
pub(super) fn geglu(x: &Var) -> Result<Var> {
    let width = x.shape().last().copied().unwrap_or(0);
    ensure!(width > 0 && width % 2 == 0, "geglu halves the last axis, which has to be even; found shape {:?}", x.shape());
    let mut shape = x.shape().to_vec();
    shape[x.rank() - 1] = width / 2;
    let output = match x.device() {
        Device::Cpu => Tensor::from_f32_as(cpu::geglu(width / 2, &x.f32s()?), &shape, x.dtype())?,
        Device::Cuda(device) => cuda::geglu(&device, width / 2, x, &shape)?,
    };
    let input = x.tensor().clone();
    Ok(Var::record(output, [x], move |gradient, _| {
        let share = match input.device() {
            Device::Cpu => {
                let share = cpu::geglu_backward(width / 2, &input.f32s()?, &gradient.f32s()?);
                Tensor::from_f32_as(share, input.shape(), input.dtype())?
            }
            Device::Cuda(device) => cuda::geglu_backward(&device, width / 2, &input, gradient)?,
        };
        Ok([Some(share)])
    }))
}
