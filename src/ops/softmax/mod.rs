//! Softmax over the last axis, alone and under a cross-entropy.

pub(in crate::ops) mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, bail, ensure};
use crate::tensor::Tensor;

/// Rows of classes.
fn classes(op: &str, x: &Tensor) -> Result<usize> {
    let classes = x.shape().last().copied().unwrap_or(0);
    ensure!(x.elements() > 0, "{op} needs [.., classes], found {:?}", x.shape());
    Ok(classes)
}

/// e^x / sum of e^x over each row of the last axis.
///
/// # Shapes
/// `x [.., classes]` -> as `x`.
pub fn softmax(x: &Var) -> Result<Var> {
    let classes = classes("softmax", x)?;
    let output = match x.device() {
        Device::Cpu => Tensor::from_f32_as(cpu::softmax(classes, &x.f32s()?), x.shape(), x.dtype())?,
        Device::Cuda(device) => cuda::softmax(&device, classes, x)?,
    };
    let probabilities = output.clone();
    Ok(Var::record(output, [x], move |gradient, _| {
        Ok([Some(match gradient.device() {
            Device::Cpu => {
                let share = cpu::softmax_backward(classes, &probabilities.f32s()?, &gradient.f32s()?);
                Tensor::from_f32_as(share, probabilities.shape(), probabilities.dtype())?
            }
            Device::Cuda(device) => cuda::softmax_backward(&device, classes, &probabilities, gradient)?,
        })])
    }))
}

/// Mean over the rows of -log softmax(x) at the label.
///
/// # Shapes
/// `x [.., classes]`, `labels` i32 `[..]` -> `[]`, in f32. Gradient to x only.
pub fn softmax_cross_entropy(x: &Var, labels: &Tensor) -> Result<Var> {
    let classes = classes("softmax_cross_entropy", x)?;
    ensure!(
        labels.shape() == &x.shape()[..x.rank() - 1],
        "softmax_cross_entropy: scores {:?} need labels {:?}, found {:?}",
        x.shape(),
        &x.shape()[..x.rank() - 1],
        labels.shape()
    );
    let on_host = labels.to_device(Device::Cpu)?;
    let found = on_host.i32s()?;
    if let Some(label) = found.iter().find(|&&label| usize::try_from(label).map_or(true, |label| label >= classes)) {
        bail!("softmax_cross_entropy: label {label} is none of {classes} classes");
    }
    let (shape, dtype) = (x.shape().to_vec(), x.dtype());
    match x.device() {
        Device::Cpu => {
            let (loss, gradient) = cpu::cross_entropy(classes, &x.f32s()?, found);
            Ok(Var::record(Tensor::scalar(loss as f32), [x], move |upstream, _| {
                let (factor, mut share) = (upstream.item()?, gradient);
                share.iter_mut().for_each(|value| *value *= factor);
                Ok([Some(Tensor::from_f32_as(share, &shape, dtype)?)])
            }))
        }
        Device::Cuda(device) => {
            let (loss, gradient) = cuda::cross_entropy(&device, classes, x, &labels.to_device(x.device())?)?;
            Ok(Var::record(loss, [x], move |upstream, _| Ok([Some(cuda::scaled_gradient(&device, &gradient, upstream, dtype)?)])))
        }
    }
}
