//! Batch normalisation over batch and positions.

#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::ops::group_norm::{Activation, Geometry, cpu, cuda};
use crate::tensor::Tensor;

/// Which statistics normalise.
#[derive(Clone, Copy, Debug)]
pub enum BatchNormMode<'a> {
    /// The batch's own; gradients flow through them.
    Batch,
    /// Given ones, constant.
    Running {
        /// `[channels]`.
        mean: &'a Tensor,
        /// `[channels]`.
        variance: &'a Tensor,
    },
}

/// The statistics of one batch, for the running averages.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// `[channels]`.
    pub mean: Tensor,
    /// `[channels]`, divided by count - 1.
    pub unbiased_variance: Tensor,
}

/// y = (x - mean) / sqrt(variance + epsilon) · weight + bias per channel; the batch's statistics come back in [`BatchNormMode::Batch`].
///
/// # Shapes
/// `x [batch, .., channels]`, `weight`, `bias [channels]` -> as `x`.
pub fn batch_norm(x: &Var, weight: &Var, bias: &Var, mode: BatchNormMode, epsilon: f32) -> Result<(Var, Option<BatchStatistics>)> {
    let geometry = geometry(x, weight, bias, mode)?;
    match x.device() {
        Device::Cpu => on_cpu(geometry, x, weight, bias, mode, epsilon),
        Device::Cuda(device) => {
            let norm = cuda::Normalization::new(device, geometry, Activation::Identity, x, weight, bias)?;
            let (statistics, batch) = on_cuda(&norm, mode, epsilon)?;
            let (constant, types) = (batch.is_none(), [x.dtype(), weight.dtype(), bias.dtype()]);
            let output = norm.apply(&statistics)?;
            let output = Var::record(output, [x, weight, bias], move |gradient, wanted| {
                cuda::in_types(norm.backward(&statistics, gradient, constant, wanted)?, types)
            });
            Ok((output, batch))
        }
    }
}

/// What normalises, and in training the batch's own statistics.
fn on_cuda(norm: &cuda::Normalization, mode: BatchNormMode, epsilon: f32) -> Result<(Tensor, Option<BatchStatistics>)> {
    match mode {
        BatchNormMode::Batch => {
            let [mean, unbiased_variance] = [norm.per_group()?, norm.per_group()?];
            let statistics = norm.statistics(epsilon, Some([&mean, &unbiased_variance]))?;
            Ok((statistics, Some(BatchStatistics { mean, unbiased_variance })))
        }
        BatchNormMode::Running { mean, variance } => Ok((norm.given(mean, variance, epsilon)?, None)),
    }
}

fn on_cpu(geometry: Geometry, x: &Var, weight: &Var, bias: &Var, mode: BatchNormMode, epsilon: f32) -> Result<(Var, Option<BatchStatistics>)> {
    let inputs = [x.tensor().clone(), weight.tensor().clone(), bias.tensor().clone()];
    let elements = x.f32s()?;
    let rows = cpu::Rows::of(&elements, geometry.channels);
    let (normalising, batch) = match mode {
        BatchNormMode::Batch => {
            let moments = cpu::moments(geometry, rows);
            (cpu::Statistics::of(&moments, epsilon), Some(batch_statistics(&moments)?))
        }
        BatchNormMode::Running { mean, variance } => (cpu::Statistics::given(&mean.f32s()?, &variance.f32s()?, epsilon), None),
    };
    let output = normalization(geometry, &normalising, &weight.f32s()?, &bias.f32s()?).forward(rows);
    let output = Tensor::from_f32_as(output, x.shape(), x.dtype())?;
    let constant = matches!(mode, BatchNormMode::Running { .. });
    let output =
        Var::record(output, [x, weight, bias], move |gradient, wanted| backward(geometry, &inputs, &normalising, constant, gradient, wanted));
    Ok((output, batch))
}

/// One sample of all positions of the batch, a group per channel.
fn geometry(x: &Var, weight: &Var, bias: &Var, mode: BatchNormMode) -> Result<Geometry> {
    let channels = x.shape().last().copied().unwrap_or(0);
    ensure!(x.rank() >= 2 && x.elements() > 0, "batch_norm needs [batch, .., channels], found {:?}", x.shape());
    let fits = weight.shape() == [channels] && bias.shape() == [channels];
    ensure!(fits, "batch_norm: input {:?} needs weight and bias of [{channels}], found {:?} and {:?}", x.shape(), weight.shape(), bias.shape());
    let positions = x.elements() / channels;
    match mode {
        BatchNormMode::Batch => {
            ensure!(positions > 1, "batch_norm in training needs more than one value per channel, found shape {:?}", x.shape());
        }
        BatchNormMode::Running { mean, variance } => {
            let fits = mean.shape() == [channels] && variance.shape() == [channels];
            ensure!(fits, "batch_norm: input {:?} needs statistics of [{channels}], found {:?} and {:?}", x.shape(), mean.shape(), variance.shape());
        }
    }
    Ok(Geometry { samples: 1, positions, channels, groups: channels })
}

fn batch_statistics(moments: &[cpu::Moments]) -> Result<BatchStatistics> {
    let tensor =
        |f: fn(&cpu::Moments) -> f64| Tensor::from_f32(moments.iter().map(|moments| f(moments) as f32).collect::<Vec<_>>(), &[moments.len()]);
    Ok(BatchStatistics { mean: tensor(|moments| moments.mean)?, unbiased_variance: tensor(|moments| moments.squares / (moments.count - 1.0))? })
}

fn normalization<'a>(geometry: Geometry, statistics: &'a cpu::Statistics, weight: &'a [f32], bias: &'a [f32]) -> cpu::Normalization<'a> {
    cpu::Normalization { geometry, statistics, weight, bias, activation: Activation::Identity }
}

fn backward(
    geometry: Geometry,
    [x, weight, bias]: &[Tensor; 3],
    statistics: &cpu::Statistics,
    constant: bool,
    gradient: &Tensor,
    wanted: [bool; 3],
) -> Result<[Option<Tensor>; 3]> {
    let (elements, gradient, scale, shift) = (x.f32s()?, gradient.f32s()?, weight.f32s()?, bias.f32s()?);
    let norm = normalization(geometry, statistics, &scale, &shift);
    let like = |share, input: &Tensor| Tensor::from_f32_as(share, input.shape(), input.dtype());
    if constant && !wanted[1] && !wanted[2] {
        return Ok([Some(like(norm.backward_constant(&elements, &gradient), x)?), None, None]);
    }
    let sums = norm.gradient_sums(&elements, &gradient);
    let to_x = match wanted[0] {
        false => None,
        true if constant => Some(like(norm.backward_constant(&elements, &gradient), x)?),
        true => Some(like(norm.backward(&elements, &gradient, &sums), x)?),
    };
    let (to_weight, to_bias) = norm.parameter_gradients(&sums);
    let to_weight = wanted[1].then(|| like(to_weight, weight)).transpose()?;
    Ok([to_x, to_weight, wanted[2].then(|| like(to_bias, bias)).transpose()?])
}
