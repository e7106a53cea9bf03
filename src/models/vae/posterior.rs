//! The distribution of an image's latent: diffusers `DiagonalGaussianDistribution` (`models/autoencoders/vae.py`).

use crate::autograd::Var;
use crate::error::Result;
use crate::ops;
use crate::tensor::Tensor;

/// Bounds of the log variance.
const LOG_VARIANCE: (f32, f32) = (-30.0, 20.0);

/// A normal distribution for each number of a latent, not yet scaled for the diffusion model.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// `[batch, height, width, latent channels]`.
    pub mean: Var,
    /// As `mean`, within -30 to 20.
    pub log_variance: Var,
}

impl Posterior {
    /// From `[batch, height, width, 2 · latent channels]`: means, then log variances.
    pub(super) fn from_moments(moments: &Var) -> Result<Self> {
        let channels = moments.dim(3) / 2;
        Ok(Self {
            mean: ops::narrow(moments, 3, 0, channels)?,
            log_variance: ops::clamp(&ops::narrow(moments, 3, channels, channels)?, LOG_VARIANCE.0, LOG_VARIANCE.1)?,
        })
    }

    /// The most likely latent.
    pub fn mode(&self) -> Var {
        self.mean.clone()
    }

    /// mean + exp(log variance / 2) · noise, for standard normal `noise` of the mean's shape.
    pub fn sample(&self, noise: &Tensor) -> Result<Var> {
        let deviation = ops::exp(&ops::affine(&self.log_variance, 0.5, 0.0)?)?;
        ops::add(&self.mean, &ops::mul(&deviation, &Var::constant(noise.clone()))?)
    }
}
