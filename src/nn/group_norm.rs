//! Group normalisation layer.

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Init, Parameter, Path};
use crate::ops::{self, Activation, Joined};

/// Normalises groups of channels over all positions of an image, then scales and shifts each channel.
///
/// # Shapes
/// `[batch, .., channels] -> ` the same; weight and bias `[channels]`.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    weight: Parameter,
    bias: Parameter,
    groups: usize,
    epsilon: f32,
}

impl GroupNorm {
    /// Checkpoint names: `weight`, `bias`.
    pub fn new(path: &Path, groups: usize, channels: usize, epsilon: f32) -> Result<Self> {
        let (weight, bias) = (path.parameter("weight", &[channels], Init::Ones)?, path.parameter("bias", &[channels], Init::Zeros)?);
        Ok(Self { weight, bias, groups, epsilon })
    }

    /// Applies the layer.
    pub fn forward(&self, x: &Var) -> Result<Var> {
        self.apply(x, Activation::Identity)
    }

    /// Applies the layer and SiLU behind it in one pass; the channels may lie in two tensors.
    pub fn forward_silu<'a>(&self, x: impl Into<Joined<'a>>) -> Result<Var> {
        self.apply(x, Activation::Silu)
    }

    fn apply<'a>(&self, x: impl Into<Joined<'a>>, activation: Activation) -> Result<Var> {
        ops::group_norm(x, &self.weight.var(), &self.bias.var(), self.groups, self.epsilon, activation)
    }
}
