//! Layer normalisation layer.

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Init, Parameter, Path};
use crate::ops;

/// Normalises each row of the last axis, then scales and shifts each channel.
///
/// # Shapes
/// `[.., channels] -> ` the same; weight and bias `[channels]`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Parameter,
    bias: Parameter,
    epsilon: f32,
}

impl LayerNorm {
    /// Checkpoint names: `weight`, `bias`.
    pub fn new(path: &Path, channels: usize, epsilon: f32) -> Result<Self> {
        let (weight, bias) = (path.parameter("weight", &[channels], Init::Ones)?, path.parameter("bias", &[channels], Init::Zeros)?);
        Ok(Self { weight, bias, epsilon })
    }

    /// Applies the layer.
    pub fn forward(&self, x: &Var) -> Result<Var> {
        ops::layer_norm(x, &self.weight.var(), &self.bias.var(), self.epsilon)
    }
}
