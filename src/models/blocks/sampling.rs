//! Halving and doubling the resolution: diffusers `Downsample2D` and `Upsample2D` (`models/downsampling.py`, `models/upsampling.py`).

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Conv2d, Path};
use crate::ops::{Conv2dOptions, Source};

/// A 3x3 convolution with stride 2.
///
/// # Shapes
/// `[batch, height, width, channels] -> [batch, half height, half width, channels]`; an odd size is halved upwards by the symmetric form and
/// downwards by the asymmetric one.
#[derive(Clone, Debug)]
pub struct Downsample {
    conv: Conv2d,
}

impl Downsample {
    /// One zero on every side: the UNet's. Checkpoint name: `conv`.
    pub fn symmetric(path: &Path, channels: usize) -> Result<Self> {
        Self::new(path, channels, [1; 4])
    }

    /// One zero at the bottom and at the right: the autoencoder's. Checkpoint name: `conv`.
    pub fn asymmetric(path: &Path, channels: usize) -> Result<Self> {
        Self::new(path, channels, [0, 1, 0, 1])
    }

    fn new(path: &Path, channels: usize, padding: [usize; 4]) -> Result<Self> {
        Ok(Self { conv: Conv2d::new(&path.child("conv"), channels, channels, 3, Conv2dOptions { stride: 2, padding })? })
    }

    /// Applies the layer.
    pub fn forward(&self, x: &Var) -> Result<Var> {
        self.conv.forward(x)
    }
}

/// Doubling by repetition, then a 3x3 convolution.
///
/// # Shapes
/// `[batch, height, width, channels] -> [batch, 2 height, 2 width, channels]`.
#[derive(Clone, Debug)]
pub struct Upsample {
    conv: Conv2d,
}

impl Upsample {
    /// Checkpoint name: `conv`.
    pub fn new(path: &Path, channels: usize) -> Result<Self> {
        Ok(Self { conv: Conv2d::new(&path.child("conv"), channels, channels, 3, Conv2dOptions::new(1, 1))? })
    }

    /// Applies the layer.
    pub fn forward(&self, x: &Var) -> Result<Var> {
        self.forward_to(x, 2 * x.dim(1), 2 * x.dim(2))
    }

    /// Applies the layer to reach exactly `height` x `width`, which is at most one row and one column short of double: the size that an odd size
    /// was halved from. Repetition to an odd size is repetition to the next even one without its last row.
    pub fn forward_to(&self, x: &Var, height: usize, width: usize) -> Result<Var> {
        self.conv.forward(Source::doubled(x, [height, width]))
    }
}
