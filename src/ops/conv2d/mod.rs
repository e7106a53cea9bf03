//! Two-dimensional convolution (cross-correlation, as every framework has it) with what is fused behind it.

use crate::autograd::Var;
use crate::error::Result;

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

/// What is added to the output where it is produced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// `[batch, out]`, added at every position: the time embedding.
    pub per_channel: Option<&'a Var>,
    /// Of the output's shape: the residual connection.
    pub residual: Option<&'a Var>,
}

/// Convolution over height and width.
///
/// # Shapes
/// `x [batch, height, width, in]`, `weight [out, kernel height, kernel width, in]`, `bias [out]`
/// -> `[batch, (height + padding - kernel height) / stride + 1, (width + padding - kernel width) / stride + 1, out]`.
pub fn conv2d(x: &Var, weight: &Var, bias: Option<&Var>, options: Conv2dOptions, epilogue: Epilogue) -> Result<Var> {
    let _ = (x, weight, bias, options, epilogue);
    todo!()
}
