//! Layer normalisation over the last axis.

mod cpu;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;

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
    let (output, statistics) = match x.device() {
        device @ Device::Cuda(_) => return Err(device.no_kernel("layer norm")),
        Device::Cpu => {
            let elements = x.f32s()?;
            let statistics = cpu::statistics(geometry, &elements, epsilon);
            let output = cpu::forward(geometry, &elements, &statistics, &weight.f32s()?, &bias.f32s()?);
            (Tensor::from_f32_as(output, x.shape(), x.dtype())?, statistics)
        }
    };
    let (input, scale, bias_dtype) = (x.tensor().clone(), weight.tensor().clone(), bias.dtype());
    Ok(Var::record(output, [x, weight, bias], move |gradient, wanted| {
        let (elements, gradient) = (input.f32s()?, gradient.f32s()?);
        let share = wanted[0].then(|| Ok::<_, crate::error::Error>(cpu::backward(geometry, &elements, &gradient, &statistics, &scale.f32s()?)));
        let share = share.transpose()?.map(|share| Tensor::from_f32_as(share, input.shape(), input.dtype())).transpose()?;
        if !wanted[1] && !wanted[2] {
            return Ok([share, None, None]);
        }
        let (to_weight, to_bias) = cpu::parameter_gradients(geometry, &elements, &gradient, &statistics);
        let to_weight = wanted[1].then(|| Tensor::from_f32_as(to_weight, scale.shape(), scale.dtype())).transpose()?;
        let to_bias = wanted[2].then(|| Tensor::from_f32_as(to_bias, scale.shape(), bias_dtype)).transpose()?;
        Ok([share, to_weight, to_bias])
    }))
}
