//! Group normalisation with an optional activation behind it.

pub(in crate::ops) mod cpu;
pub(in crate::ops) mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::ops::Joined;
use crate::tensor::Tensor;

/// An activation fused behind a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// x · sigmoid(x).
    Silu,
}

/// Sizes of a normalisation: `x [samples, positions, channels]`, statistics `[samples, groups]`. Batch normalisation is the case of one sample whose
/// groups are its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct Geometry {
    pub samples: usize,
    pub positions: usize,
    pub channels: usize,
    pub groups: usize,
}

impl Geometry {
    fn new(x: &[usize], weight: &[usize], bias: &[usize], groups: usize) -> Result<Self> {
        ensure!(x.len() >= 2, "group_norm needs [batch, .., channels], found {x:?}");
        let channels = x[x.len() - 1];
        ensure!(groups > 0 && channels > 0 && channels.is_multiple_of(groups), "group_norm: {groups} groups do not divide {channels} channels");
        ensure!(
            weight == [channels] && bias == [channels],
            "group_norm: input {x:?} needs weight and bias of [{channels}], found {weight:?} and {bias:?}"
        );
        let geometry = Self { samples: x[0], positions: x[1..x.len() - 1].iter().product(), channels, groups };
        ensure!(geometry.positions > 0, "group_norm: no positions in shape {x:?}");
        Ok(geometry)
    }
}

/// y = activation((x - mean) / sqrt(variance + epsilon) · weight + bias), mean and (biased) variance over each group of channels and all positions.
///
/// # Shapes
/// `x [batch, .., channels]`, of one tensor or two, `weight`, `bias [channels]` -> as `x`; `groups` divides the channels.
pub fn group_norm<'a>(x: impl Into<Joined<'a>>, weight: &Var, bias: &Var, groups: usize, epsilon: f32, activation: Activation) -> Result<Var> {
    let x = x.into();
    let geometry = Geometry::new(&x.shape()?, weight.shape(), bias.shape(), groups)?;
    match x.second {
        None => normalize(x.first, [weight, bias], geometry, epsilon, activation),
        Some(_) if x.wants_gradient() || weight.wants_gradient() || bias.wants_gradient() => {
            normalize(&x.written()?, [weight, bias], geometry, epsilon, activation)
        }
        Some(second) => normalize_joined([x.first, second], [weight, bias], geometry, epsilon, activation),
    }
}

/// Of channels that lie in two tensors, where no gradient is wanted.
fn normalize_joined([x, second]: [&Var; 2], [weight, bias]: [&Var; 2], geometry: Geometry, epsilon: f32, activation: Activation) -> Result<Var> {
    let output = match x.device() {
        Device::Cpu => {
            let (first_elements, second_elements) = (x.f32s()?, second.f32s()?);
            let first_channels = geometry.channels - second.dim(second.rank() - 1);
            let rows = cpu::Rows::of(&first_elements, first_channels).beside(&second_elements, geometry.channels - first_channels);
            let statistics = cpu::Statistics::of(&cpu::moments(geometry, rows), epsilon);
            let norm = cpu::Normalization { geometry, statistics: &statistics, weight: &weight.f32s()?, bias: &bias.f32s()?, activation };
            let mut shape = x.shape().to_vec();
            shape[x.rank() - 1] = geometry.channels;
            Tensor::from_f32_as(norm.forward(rows), &shape, x.dtype())?
        }
        Device::Cuda(device) => cuda::Normalization::new(device, geometry, activation, x, weight, bias)?.beside(Some(second)).forward(epsilon)?.0,
    };
    Ok(Var::record(output, [x, second, weight, bias], |_, _| Ok([const { None }; 4])))
}

fn normalize(x: &Var, [weight, bias]: [&Var; 2], geometry: Geometry, epsilon: f32, activation: Activation) -> Result<Var> {
    match x.device() {
        Device::Cpu => {
            let inputs = [x.tensor().clone(), weight.tensor().clone(), bias.tensor().clone()];
            let elements = x.f32s()?;
            let rows = cpu::Rows::of(&elements, geometry.channels);
            let statistics = cpu::Statistics::of(&cpu::moments(geometry, rows), epsilon);
            let norm = cpu::Normalization { geometry, statistics: &statistics, weight: &weight.f32s()?, bias: &bias.f32s()?, activation };
            let output = Tensor::from_f32_as(norm.forward(rows), x.shape(), x.dtype())?;
            Ok(Var::record(output, [x, weight, bias], move |gradient, wanted| backward(geometry, &inputs, &statistics, activation, gradient, wanted)))
        }
        Device::Cuda(device) => {
            let norm = cuda::Normalization::new(device, geometry, activation, x, weight, bias)?;
            let (output, statistics) = norm.forward(epsilon)?;
            let types = [x.dtype(), weight.dtype(), bias.dtype()];
            Ok(Var::record(output, [x, weight, bias], move |gradient, wanted| {
                cuda::in_types(norm.backward(&statistics, gradient, false, wanted)?, types)
            }))
        }
    }
}

fn backward(
    geometry: Geometry,
    [x, weight, bias]: &[Tensor; 3],
    statistics: &cpu::Statistics,
    activation: Activation,
    gradient: &Tensor,
    wanted: [bool; 3],
) -> Result<[Option<Tensor>; 3]> {
    let (elements, gradient) = (x.f32s()?, gradient.f32s()?);
    let norm = cpu::Normalization { geometry, statistics, weight: &weight.f32s()?, bias: &bias.f32s()?, activation };
    let sums = norm.gradient_sums(&elements, &gradient);
    let to_x = wanted[0].then(|| Tensor::from_f32_as(norm.backward(&elements, &gradient, &sums), x.shape(), x.dtype())).transpose()?;
    let (to_weight, to_bias) = norm.parameter_gradients(&sums);
    let to_weight = wanted[1].then(|| Tensor::from_f32_as(to_weight, weight.shape(), weight.dtype())).transpose()?;
    let to_bias = wanted[2].then(|| Tensor::from_f32_as(to_bias, bias.shape(), bias.dtype())).transpose()?;
    Ok([to_x, to_weight, to_bias])
}
