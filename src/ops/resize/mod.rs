//! Changing the height and width of images.

use crate::autograd::Var;
use crate::error::Result;

/// Repeats each pixel `factor` times in both axes: `[batch, height, width, channels] -> [batch, factor · height, factor · width, channels]`.
pub fn upsample_nearest(x: &Var, factor: usize) -> Result<Var> {
    let _ = (x, factor);
    todo!()
}

/// Bilinear without antialiasing, as `torch.nn.functional.interpolate`: `[batch, h, w, channels] -> [batch, height, width, channels]`.
pub fn resize_bilinear(x: &Var, height: usize, width: usize, align_corners: bool) -> Result<Var> {
    let _ = (x, height, width, align_corners);
    todo!()
}

/// Mean over windows that tile the image, as `torch.nn.AdaptiveAvgPool2d`: `[batch, h, w, channels] -> [batch, height, width, channels]`.
pub fn area_pool(x: &Var, height: usize, width: usize) -> Result<Var> {
    let _ = (x, height, width);
    todo!()
}

/// Maximum over windows: `[batch, h, w, channels] -> [batch, (h + 2 padding - kernel) / stride + 1, .., channels]`; padding never wins.
pub fn max_pool(x: &Var, kernel: usize, stride: usize, padding: usize) -> Result<Var> {
    let _ = (x, kernel, stride, padding);
    todo!()
}
