//! Two-dimensional convolution layer.

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Init, Layout, Parameter, Path, Placement};
use crate::ops::{self, Conv2dOptions, Epilogue, Source};

/// Convolution over height and width.
///
/// # Shapes
/// `[batch, height, width, in] -> [batch, out height, out width, out]`; weight `[out, kernel, kernel, in]`, bias `[out]`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Parameter,
    bias: Option<Parameter>,
    options: Conv2dOptions,
}

impl Conv2d {
    /// With a bias. Checkpoint names: `weight` (`[out, in, kernel, kernel]`), `bias`.
    pub fn new(path: &Path, inputs: usize, outputs: usize, kernel: usize, options: Conv2dOptions) -> Result<Self> {
        let bias = path.parameter("bias", &[outputs], Init::fan_in(inputs * kernel * kernel))?;
        Ok(Self { bias: Some(bias), ..Self::without_bias(path, inputs, outputs, kernel, options)? })
    }

    /// Without a bias.
    pub fn without_bias(path: &Path, inputs: usize, outputs: usize, kernel: usize, options: Conv2dOptions) -> Result<Self> {
        Self::rectangular(path, inputs, outputs, [kernel, kernel], options)
    }

    /// Without a bias, with a window of its own `[height, width]`.
    pub fn rectangular(path: &Path, inputs: usize, outputs: usize, kernel: [usize; 2], options: Conv2dOptions) -> Result<Self> {
        let init = Init::fan_in(inputs * kernel[0] * kernel[1]);
        let weight = path.with_layout("weight", &[outputs, inputs, kernel[0], kernel[1]], init, Layout::ConvWeight)?;
        Ok(Self { weight, bias: None, options })
    }

    /// Where the layer computes.
    pub fn placement(&self) -> Placement {
        self.weight.placement()
    }

    /// Applies the layer.
    pub fn forward<'a>(&self, x: impl Into<Source<'a>>) -> Result<Var> {
        self.forward_with(x, Epilogue::default())
    }

    /// Applies the layer and what is fused behind it.
    pub fn forward_with<'a>(&self, x: impl Into<Source<'a>>, epilogue: Epilogue) -> Result<Var> {
        ops::conv2d(x, &self.weight.var(), self.bias.as_ref().map(Parameter::var).as_ref(), self.options, epilogue)
    }
}
