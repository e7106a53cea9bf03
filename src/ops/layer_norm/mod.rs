//! Layer normalisation over the last axis.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::tensor::{DType, Tensor};

/// Sizes of a layer normalisation.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    rows: usize,
    channels: usize,
}

/// y = (x - mean) / sqrt(variance + epsilon) · weight + bias, mean and (biased) variance over each row.
///
/// # Shapes
/// `x [.., channels]`, `weight`, `bias [channels]` -> as `x`.
pub fn layer_norm(x: &Var, weight: &Var, bias: &Var, epsilon: f32) -> Result<Var> {
    let channels = x.shape().last().copied().unwrap_or(0);
    let fits = channels > 0 && weight.shape() == [channels] && bias.shape() == [channels];
    ensure!(fits, "layer_norm: input {:?} needs weight and bias of [{channels}], found {:?} and {:?}", x.shape(), weight.shape(), bias.shape());
    let geometry = Geometry { rows: x.elements() / channels, channels };
    let (input, scale, types) = (x.tensor().clone(), weight.tensor().clone(), [x.dtype(), weight.dtype(), bias.dtype()]);
    match x.device() {
        Device::Cpu => {
            let elements = x.f32s()?;
            let statistics = cpu::statistics(geometry, &elements, epsilon);
            let output = cpu::forward(geometry, &elements, &statistics, &weight.f32s()?, &bias.f32s()?);
            let output = Tensor::from_f32_as(output, x.shape(), x.dtype())?;
            Ok(Var::record(output, [x, weight, bias], move |gradient, wanted| {
                backward(geometry, [&input, &scale], types, &statistics, gradient, wanted)
            }))
        }
        Device::Cuda(device) => {
            let (output, statistics) = cuda::forward(&device, geometry, x, weight, bias, epsilon)?;
            Ok(Var::record(output, [x, weight, bias], move |gradient, wanted| {
                let share = wanted[0].then(|| cuda::backward(&device, geometry, &input, &scale, &statistics, gradient)).transpose()?;
                if !wanted[1] && !wanted[2] {
                    return Ok([share, None, None]);
                }
                let [to_weight, to_bias] = cuda::parameter_gradients(&device, geometry, &input, &statistics, gradient)?;
                let to_weight = wanted[1].then(|| to_weight.to_dtype(types[1])).transpose()?;
                Ok([share, to_weight, wanted[2].then(|| to_bias.to_dtype(types[2])).transpose()?])
            }))
        }
    }
}

fn backward(
    geometry: Geometry,
    [x, weight]: [&Tensor; 2],
    types: [DType; 3],
    statistics: &[cpu::RowStatistics],
    gradient: &Tensor,
    wanted: [bool; 3],
) -> Result<[Option<Tensor>; 3]> {
    let (elements, gradient) = (x.f32s()?, gradient.f32s()?);
    let share = match wanted[0] {
        true => Some(Tensor::from_f32_as(cpu::backward(geometry, &elements, &gradient, statistics, &weight.f32s()?), x.shape(), types[0])?),
        false => None,
    };
    if !wanted[1] && !wanted[2] {
        return Ok([share, None, None]);
    }
    let (to_weight, to_bias) = cpu::parameter_gradients(geometry, &elements, &gradient, statistics);
    let to_weight = wanted[1].then(|| Tensor::from_f32_as(to_weight, weight.shape(), types[1])).transpose()?;
    let to_bias = wanted[2].then(|| Tensor::from_f32_as(to_bias, weight.shape(), types[2])).transpose()?;
    Ok([share, to_weight, to_bias])
}
