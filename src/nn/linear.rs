//! Fully connected layer.

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Init, Layout, Parameter, Path, Placement};
use crate::ops::{self, Conv2dOptions, Epilogue, Joined, LinearEpilogue};

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

    /// A 1x1 convolution, which is a linear layer over the channels. Checkpoint names: `weight` (`[out, in, 1, 1]`), `bias`.
    pub fn pointwise(path: &Path, inputs: usize, outputs: usize) -> Result<Self> {
        let init = Init::fan_in(inputs);
        let weight = path.with_layout("weight", &[outputs, inputs, 1, 1], init, Layout::PointwiseWeight)?;
        Ok(Self { weight, bias: Some(path.parameter("bias", &[outputs], init)?) })
    }

    /// From given parameters, for weights whose checkpoint shape is not `[out, in]`.
    pub fn from_parameters(weight: Parameter, bias: Option<Parameter>) -> Self {
        Self { weight, bias }
    }

    /// Where the layer computes.
    pub fn placement(&self) -> Placement {
        self.weight.placement()
    }

    /// Applies the layer.
    pub fn forward(&self, x: &Var) -> Result<Var> {
        self.forward_with(x, LinearEpilogue::Nothing)
    }

    /// Applies the layer and what is fused behind it.
    pub fn forward_with(&self, x: &Var, epilogue: LinearEpilogue) -> Result<Var> {
        ops::linear_with(x, &self.weight.var(), self.bias.as_ref().map(Parameter::var).as_ref(), epilogue)
    }

    /// Applies the layer to images `[batch, height, width, in]` whose channels may lie in two tensors: as a 1x1 convolution, which reads them there.
    pub fn forward_joined(&self, x: Joined) -> Result<Var> {
        if x.second.is_none() {
            return self.forward(x.first);
        }
        let weight = self.weight.var();
        let [outputs, inputs] = weight.dims()?;
        let window = ops::reshape(&weight, &[outputs, 1, 1, inputs])?;
        ops::conv2d(x, &window, self.bias.as_ref().map(Parameter::var).as_ref(), Conv2dOptions::new(1, 0), Epilogue::default())
    }
}
