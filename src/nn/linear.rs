//! Fully connected layer.

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Init, Parameter, Path};
use crate::ops;

/// y = x Wᵀ + b over the last axis.
///
/// # Shapes
/// `[.., in] -> [.., out]`; weight `[out, in]`, bias `[out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    /// With a bias. Checkpoint names: `weight`, `bias`.
    pub fn new(path: &Path, inputs: usize, outputs: usize) -> Result<Self> {
        let bias = path.parameter("bias", &[outputs], Init::fan_in(inputs))?;
        Ok(Self { bias: Some(bias), ..Self::without_bias(path, inputs, outputs)? })
    }

    /// Without a bias.
    pub fn without_bias(path: &Path, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self { weight: path.parameter("weight", &[outputs, inputs], Init::fan_in(inputs))?, bias: None })
    }

    /// From given parameters, for weights whose checkpoint shape is not `[out, in]`.
    pub fn from_parameters(weight: Parameter, bias: Option<Parameter>) -> Self {
        Self { weight, bias }
    }

    /// Applies the layer.
    pub fn forward(&self, x: &Var) -> Result<Var> {
        ops::linear(x, &self.weight.var(), self.bias.as_ref().map(Parameter::var).as_ref())
    }
}
