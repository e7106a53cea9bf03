//! Steps of optimisers over all parameters at once: AdamW, the square sums of gradients, moving averages. f32; no gradients flow here.
//!
//! The arithmetic is that of `torch.optim.AdamW` (`_single_tensor_adamw`), element by element, so no result depends on threads or on the device.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::device::Device;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;

pub use cpu::apply;

/// A step's numbers that hold for every parameter, in the precision in which PyTorch's kernels take them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Common {
    /// Multiplies the gradients first.
    pub scale: f32,
    /// Decay of the mean of squared gradients.
    pub beta2: f32,
    /// 1 - decay of the mean of gradients.
    pub one_minus_beta1: f32,
    /// 1 - beta2.
    pub one_minus_beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

/// What a parameter has of its own: rate, decay and number of steps are in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Own {
    /// What is kept of the value: 1 - rate · decay.
    pub keep: f32,
    /// Decay that is added to the gradient.
    pub decay: f32,
    /// The root of the second moment's bias correction.
    pub correction: f32,
    /// - rate / bias correction of the first moment.
    pub step: f32,
}

/// A parameter before its step; its tensors are of one shape.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its value.
    pub value: Tensor,
    /// Mean of gradients.
    pub first: Tensor,
    /// Mean of squared gradients.
    pub second: Tensor,
    /// Its gradient; zeros when there is none.
    pub gradient: Option<Tensor>,
    /// Its numbers.
    pub own: Own,
}

/// A parameter behind its step.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Its value.
    pub value: Tensor,
    /// Mean of gradients.
    pub first: Tensor,
    /// Mean of squared gradients.
    pub second: Tensor,
}

/// One AdamW step of all parameters, in one launch on a GPU.
///
/// # Errors
/// When a parameter's tensors are not of one shape, or not all f32 and on one device.
pub fn adamw(parameters: &[Parameter], common: &Common) -> Result<Vec<Moved>> {
    for Parameter { value, first, second, gradient, .. } in parameters {
        let fits = [first, second].into_iter().chain(gradient).all(|other| other.shape() == value.shape());
        ensure!(fits, "adamw: a parameter of shape {:?} has moments or a gradient of another", value.shape());
    }
    match parameters.first().map_or(Device::Cpu, |parameter| parameter.value.device()) {
        Device::Cpu => parameters.iter().map(|parameter| cpu::step(parameter, common)).collect(),
        Device::Cuda(device) => cuda::step(&device, parameters, common),
    }
}

/// The sum of squares of every tensor, in f64: the order of summation depends on the sizes alone.
///
/// # Errors
/// When the tensors are not all f32 and on one device, or a kernel before failed.
pub fn square_sums(tensors: &[Tensor]) -> Result<Vec<f64>> {
    match tensors.first().map_or(Device::Cpu, Tensor::device) {
        Device::Cpu => tensors.iter().map(cpu::square_sum).collect(),
        Device::Cuda(device) => cuda::square_sums(&device, tensors),
    }
}

/// average + share · (value - average) for every pair (average, value) of one shape, in one launch on a GPU.
///
/// # Errors
/// When shapes differ, or the tensors are not all f32 and on one device.
pub fn moving_averages(pairs: &[(Tensor, Tensor)], share: f32) -> Result<Vec<Tensor>> {
    for (average, value) in pairs {
        ensure!(average.shape() == value.shape(), "moving_averages: shapes {:?} and {:?}", average.shape(), value.shape());
    }
    match pairs.first().map_or(Device::Cpu, |(average, _)| average.device()) {
        Device::Cpu => pairs.iter().map(|(average, value)| cpu::moving_average(average, value, share)).collect(),
        Device::Cuda(device) => cuda::moving_averages(&device, pairs, share),
    }
}
