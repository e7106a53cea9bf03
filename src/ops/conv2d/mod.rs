//! Two-dimensional convolution (cross-correlation, as every framework has it) with what is fused behind it.

mod cpu;
mod cuda;
mod geometry;
mod patches;
mod source;
mod winograd;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::ops::Joined;
use crate::tensor::Tensor;
use geometry::Geometry;
pub use source::Source;

/// Stride and zero padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Step of the window in both axes.
    pub stride: usize,
    /// Zeros around the image: top, bottom, left, right.
    pub padding: [usize; 4],
}

impl Conv2dOptions {
    /// The same padding on all four sides.
    pub const fn new(stride: usize, padding: usize) -> Self {
        Self { stride, padding: [padding; 4] }
    }
}

/// What happens to the products where they are produced.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// Multiplies them before anything is added, the bias too: then this is the convolution of `scale · x`, which is not written.
    pub scale: f32,
    /// `[batch, out]`, added at every position: the time embedding.
    pub per_channel: Option<&'a Var>,
    /// Of the output's shape: the residual connection.
    pub residual: Option<&'a Var>,
}

impl Default for Epilogue<'_> {
    fn default() -> Self {
        Self { scale: 1.0, per_channel: None, residual: None }
    }
}

/// Convolution over height and width, in the element type of `x`: a tensor, two whose channels lie beside each other, or one whose pixels are repeated.
///
/// # Shapes
/// `x [batch, height, width, in]`, `weight [out, kernel height, kernel width, in]`, `bias [out]`
/// -> `[batch, (height + padding - kernel height) / stride + 1, (width + padding - kernel width) / stride + 1, out]`.
///
/// # Errors
/// When the shapes do not fit each other, the stride is 0, the window is larger than the padded image, or an input is not of floats.
pub fn conv2d<'a>(x: impl Into<Source<'a>>, weight: &Var, bias: Option<&Var>, options: Conv2dOptions, epilogue: Epilogue) -> Result<Var> {
    let x = x.into();
    let terms = [bias, epilogue.per_channel, epilogue.residual];
    let wants_gradient = x.image.wants_gradient() || weight.wants_gradient() || terms.into_iter().flatten().any(Var::wants_gradient);
    if wants_gradient && !x.is_written() {
        return convolve((&x.written()?).into(), weight, bias, options, epilogue);
    }
    convolve(x, weight, bias, options, epilogue)
}

fn convolve(source: Source, weight: &Var, bias: Option<&Var>, options: Conv2dOptions, epilogue: Epilogue) -> Result<Var> {
    let geometry = Geometry::new(&source, weight.shape(), options)?;
    geometry.check_added(bias, epilogue)?;
    let Joined { first: x, second } = source.image;
    let images = (x.tensor(), second.map(Var::tensor));
    let scale = epilogue.scale;
    let terms = Terms {
        scale,
        bias: bias.map(Var::tensor),
        per_channel: epilogue.per_channel.map(Var::tensor),
        residual: epilogue.residual.map(Var::tensor),
    };
    let output = match x.device() {
        Device::Cpu => cpu::forward(&geometry, images, weight.tensor(), terms)?,
        Device::Cuda(device) => cuda::forward(&device, &geometry, images, weight.tensor(), terms)?,
    };
    let none = Var::constant(Tensor::zeros(&[0]));
    let [bias, per_channel, residual, second] = [bias, epilogue.per_channel, epilogue.residual, second].map(|input| input.unwrap_or(&none));
    // Only the weight's gradient looks at x: with a frozen weight, the activation is not kept.
    let (x_value, weight_value) = (weight.wants_gradient().then(|| x.tensor().clone()), weight.tensor().clone());
    Ok(Var::record(output, [x, weight, bias, per_channel, residual, second], move |gradient, [x, weight, bias, per_channel, residual, _]| {
        let wanted = [x, weight, bias, per_channel, residual];
        let [x, weight, bias, per_channel, residual] = match gradient.device() {
            Device::Cpu => cpu::backward(&geometry, x_value.as_ref(), &weight_value, gradient, scale, wanted)?,
            Device::Cuda(device) => cuda::backward(&device, &geometry, x_value.as_ref(), &weight_value, gradient, scale, wanted)?,
        };
        // A second image is there only where no gradient is wanted.
        Ok([x, weight, bias, per_channel, residual, None])
    }))
}

/// What multiplies the products and what is added to them, as values.
#[derive(Clone, Copy, Debug)]
struct Terms<'a> {
    scale: f32,
    /// `[out]`
    bias: Option<&'a Tensor>,
    /// `[batch, out]`
    per_channel: Option<&'a Tensor>,
    /// `[batch, out height, out width, out]`
    residual: Option<&'a Tensor>,
}
