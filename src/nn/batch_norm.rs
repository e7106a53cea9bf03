//! Batch normalisation layer.

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Init, Parameter, Path};
use crate::ops::{self, BatchNormMode};

/// Normalises each channel over the batch and all positions, then scales and shifts it.
///
/// # Shapes
/// `[batch, height, width, channels] -> ` the same; all parameters `[channels]`.
#[derive(Clone, Debug)]
pub struct BatchNorm2d {
    weight: Parameter,
    bias: Parameter,
    running_mean: Parameter,
    running_var: Parameter,
    epsilon: f32,
}

/// How far a training step moves the running statistics, as in PyTorch.
const MOMENTUM: f32 = 0.1;

impl BatchNorm2d {
    /// Checkpoint names: `weight`, `bias`, `running_mean`, `running_var`.
    pub fn new(path: &Path, channels: usize, epsilon: f32) -> Result<Self> {
        Ok(Self {
            weight: path.parameter("weight", &[channels], Init::Ones)?,
            bias: path.parameter("bias", &[channels], Init::Zeros)?,
            running_mean: path.buffer("running_mean", &[channels], Init::Zeros)?,
            running_var: path.buffer("running_var", &[channels], Init::Ones)?,
            epsilon,
        })
    }

    /// Applies the layer: with the batch's own statistics, which also move the running ones, when `training`; with the running ones otherwise.
    pub fn forward(&self, x: &Var, training: bool) -> Result<Var> {
        let (weight, bias) = (self.weight.var(), self.bias.var());
        let running = (self.running_mean.value(), self.running_var.value());
        let mode = if training { BatchNormMode::Batch } else { BatchNormMode::Running { mean: &running.0, variance: &running.1 } };
        let (output, statistics) = ops::batch_norm(x, &weight, &bias, mode, self.epsilon)?;
        if let Some(statistics) = statistics {
            for (parameter, batch) in [(&self.running_mean, &statistics.mean), (&self.running_var, &statistics.unbiased_variance)] {
                let (old, new) = (Var::constant(parameter.value()), Var::constant(batch.clone()));
                let moved = ops::add(&old, &ops::affine(&ops::sub(&new, &old)?, MOMENTUM, 0.0)?)?;
                parameter.set(moved.into_tensor())?;
            }
        }
        Ok(output)
    }
}
