//! What the time of a product depends on, as far as it is the same in every batch.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Activation;
use crate::device::DType;

/// The shape of a product. The batch is left out: a sample's result must not depend on how many are computed with it, and routes add in different orders.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// The op: `linear`, `conv2d`.
    pub op: Cow<'static, str>,
    /// `forward`, `to_x` (the gradient of the input) or `to_weight`.
    pub pass: Cow<'static, str>,
    /// The element type of factors and result.
    pub dtype: DType,
    /// Rows of the result for eight samples; of `to_weight`, whose depth runs over the batch, the weight's.
    pub rows: usize,
    /// Columns of the product; a gated layer writes half of them.
    pub columns: usize,
    /// The depth.
    pub depth: usize,
    /// The windows of a convolution.
    pub windows: Option<WindowShape>,
    /// What the sums pass through.
    pub activation: Activation,
    /// Whether a bias, a term of each group of rows and a residual are added.
    pub added: [bool; 3],
}

/// How the windows of a convolution lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowShape {
    /// Height and width of the image, as the windows meet it.
    pub image: [usize; 2],
    /// Height and width of a window.
    pub taps: [usize; 2],
    /// Step of the windows.
    pub stride: usize,
    /// Zeros above the image and to its left.
    pub before: [usize; 2],
    /// Channels of the first of two images.
    pub first_channels: usize,
    /// Channels of both.
    pub channels: usize,
    /// Whether each pixel is met twice along both axes.
    pub doubled: bool,
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, pass, dtype, rows, columns, depth, windows, activation, added } = self;
        write!(formatter, "{op} {pass} {dtype} {rows}x{depth}->{columns}")?;
        if let Some(WindowShape { image: [height, width], taps: [high, wide], stride, first_channels, channels, doubled, .. }) = windows {
            write!(formatter, ", {high}x{wide}/{stride} of {height}x{width}")?;
            if *doubled {
                write!(formatter, " repeated")?;
            }
            if first_channels < channels {
                write!(formatter, " joined")?;
            }
        }
        if *activation != Activation::None {
            write!(formatter, ", {activation:?}")?;
        }
        for (name, _) in ["bias", "group", "residual"].into_iter().zip(added).filter(|(_, added)| **added) {
            write!(formatter, " +{name}")?;
        }
        Ok(())
    }
}
