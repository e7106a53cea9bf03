//! What happens to a latent between two passes of the denoising network, fused: guidance, the sampler's update, fresh noise, and the blend with the
//! normal image's latent (Song et al. 2021; paper Eq. 1). No gradients. Every device gives the same bits for the same inputs.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;
mod updates;

use crate::device::Device;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;
use crate::tensor::random::Stream;

pub use updates::{PlannedUpdate, Updates};

/// The weights of an update: each pair multiplies what its name says, in that order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Classifier-free guidance: unconditional + scale · (conditional - unconditional). Not looked at without an unconditional output.
    pub guidance: f32,
    /// The clean latent from the noisy one and the output.
    pub clean: [f32; 2],
    /// The noise from the noisy latent and the output; the output itself when the first is 0.
    pub epsilon: [f32; 2],
    /// The next latent from the clean one and the noise.
    pub previous: [f32; 2],
    /// Standard deviation of the fresh noise; nothing is drawn when it is 0.
    pub deviation: f32,
    /// Outside of the mask: the normal image's latent and fresh noise; nothing is drawn when the second is 0.
    pub outside: [f32; 2],
}

/// What stands outside of the mask.
#[derive(Clone, Copy, Debug)]
pub struct Background<'a> {
    /// `[batch, height, width, 1]` of 0 and 1.
    pub mask: &'a Tensor,
    /// The clean latents of the normal images, `[batch, height, width, channels]`.
    pub normal: &'a Tensor,
}

/// How noisy the background is made: signal · normal + noise · fresh noise.
#[derive(Clone, Copy, Debug)]
pub struct BackgroundNoise<'a> {
    /// Weight of the normal latent.
    pub signal: f32,
    /// Weight of the noise.
    pub noise: f32,
    /// One stream for each sample.
    pub streams: &'a [Stream],
}

/// The network's outputs at a latent, `[batch, height, width, channels]` each.
#[derive(Clone, Copy, Debug)]
pub struct Outputs<'a> {
    /// The latent that the network saw.
    pub noisy: &'a Tensor,
    /// Its output for the context.
    pub conditional: &'a Tensor,
    /// Its output for no context, with guidance.
    pub unconditional: Option<&'a Tensor>,
}

/// What [`denoise`] gives, each of the latents' shape.
#[derive(Clone, Debug)]
pub struct Denoised {
    /// The estimate of the clean latent.
    pub clean: Tensor,
    /// The latent one step before, everywhere.
    pub latent: Tensor,
    /// The same with the background outside of the mask; `None` without a background.
    pub blended: Option<Tensor>,
}

/// One update of a batch: step `number` of `updates`, i32 with one or more equal elements where the latents are. A GPU's number is not looked at, since
/// that would wait for it: whoever put it there has seen to it that there is such a step.
///
/// # Errors
/// When shapes or devices do not fit, or a tensor is not f32.
pub fn denoise(outputs: Outputs, updates: &Updates, number: &Tensor, background: Option<&Background>) -> Result<Denoised> {
    let Outputs { noisy, conditional, unconditional } = outputs;
    let [batch, ..] = noisy.dims::<4>()?;
    for output in std::iter::once(conditional).chain(unconditional) {
        ensure!(output.shape() == noisy.shape(), "denoise: an output of shape {:?} at a latent of shape {:?}", output.shape(), noisy.shape());
    }
    updates.check(batch, number)?;
    if let Some(background) = background {
        background.check(noisy)?;
    }
    match noisy.device() {
        Device::Cpu => cpu::denoise(outputs, &updates.at(number)?, background),
        Device::Cuda(device) => cuda::denoise(&device, outputs, updates, number, background),
    }
}

/// The latent inside the mask, the background outside of it; without `noise` the normal image as it is.
///
/// # Errors
/// As [`denoise`], and without one stream for each sample.
pub fn blend(latent: &Tensor, background: &Background, noise: Option<BackgroundNoise>) -> Result<Tensor> {
    background.check(latent)?;
    let (batch, streams) = (latent.dim(0), noise.map_or(latent.dim(0), |noise| noise.streams.len()));
    ensure!(streams == batch, "blend: {streams} streams of noise for a batch of {batch}");
    match latent.device() {
        Device::Cpu => cpu::blend(latent, background, noise),
        Device::Cuda(device) => cuda::blend(&device, latent, background, noise),
    }
}

impl Background<'_> {
    fn check(&self, latent: &Tensor) -> Result<()> {
        let [batch, height, width, _] = latent.dims()?;
        let (mask, normal) = (self.mask.shape(), self.normal.shape());
        ensure!(normal == latent.shape(), "blend: a background of shape {normal:?} for latents of shape {:?}", latent.shape());
        ensure!(mask == [batch, height, width, 1], "blend: a mask of shape {mask:?} for latents of shape {:?}", latent.shape());
        Ok(())
    }
}
