//! The autoencoder between pixels and latents: diffusers `AutoencoderKL` (`models/autoencoders/autoencoder_kl.py`).

mod config;
mod decoder;
mod encoder;
mod middle;
mod posterior;

pub use config::VaeConfig;
pub use posterior::Posterior;

use crate::autograd::Var;
use crate::device::recording;
use crate::error::{Result, ensure};
use crate::nn::{Linear, Path, Placement};
use crate::ops::LinearEpilogue;
use decoder::Decoder;
use encoder::Encoder;

/// Compresses images to latents and back.
#[derive(Clone, Debug)]
pub struct AutoencoderKl {
    config: VaeConfig,
    encoder: Encoder,
    quant: Option<Linear>,
    post_quant: Option<Linear>,
    decoder: Decoder,
}

impl AutoencoderKl {
    /// Checkpoint names: `encoder`, `quant_conv`, `post_quant_conv`, `decoder`.
    pub fn new(path: &Path, config: &VaeConfig) -> Result<Self> {
        let latent = config.latent_channels;
        let pointwise = |name: &str, channels: usize| Linear::pointwise(&path.child(name), channels, channels);
        Ok(Self {
            encoder: Encoder::new(&path.child("encoder"), config)?,
            quant: config.use_quant_conv.then(|| pointwise("quant_conv", 2 * latent)).transpose()?,
            post_quant: config.use_post_quant_conv.then(|| pointwise("post_quant_conv", latent)).transpose()?,
            decoder: Decoder::new(&path.child("decoder"), config)?,
            config: config.clone(),
        })
    }

    /// The config that the network was built from.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Where the network computes.
    pub fn placement(&self) -> Placement {
        self.decoder.placement()
    }

    /// How many pixels of the image one latent cell covers in each axis: 8 for Stable Diffusion.
    pub fn downscale(&self) -> usize {
        self.config.downscale()
    }

    /// The distribution of the latent of `image [batch, height, width, in_channels]`, pixels in [-1, 1]. Not scaled for the diffusion model.
    ///
    /// # Errors
    /// When the size is smaller than one latent cell. A size that is not a multiple of [`AutoencoderKl::downscale`] is rounded down.
    pub fn encode(&self, image: &Var) -> Result<Posterior> {
        let [_, height, width, channels] = image.dims()?;
        let cell = self.downscale();
        ensure!(channels == self.config.in_channels, "the image has {channels} channels, the autoencoder expects {}", self.config.in_channels);
        ensure!(height >= cell && width >= cell, "an image of {height}x{width} is smaller than one latent cell of {cell}x{cell}");
        let _network = recording::network("vae");
        let here = self.encoder.placement();
        let mut moments = self.encoder.forward(&here.enter(image)?)?;
        if let Some(layer) = &self.quant {
            moments = layer.forward(&moments)?;
        }
        Posterior::from_moments(&here.leave(&moments)?)
    }

    /// The image `[batch, downscale · height, downscale · width, out_channels]` of `latent [batch, height, width, latent_channels]`, which is in
    /// this network's own units. A diffusion model's latent is for [`AutoencoderKl::decode_scaled`].
    pub fn decode(&self, latent: &Var) -> Result<Var> {
        self.decode_scaled(latent, 1.0)
    }

    /// As [`AutoencoderKl::decode`], of `factor · latent`: 1 / `scaling_factor` for a diffusion model's latent. The first layer multiplies.
    pub fn decode_scaled(&self, latent: &Var, factor: f32) -> Result<Var> {
        let [_, _, _, channels] = latent.dims()?;
        let expected = self.config.latent_channels;
        ensure!(channels == expected, "the latent has {channels} channels, the autoencoder expects {expected}");
        let _network = recording::network("vae");
        let here = self.placement();
        let latent = here.enter(latent)?;
        here.leave(&match &self.post_quant {
            Some(layer) => self.decoder.forward(&layer.forward_with(&latent, LinearEpilogue::Scale(factor))?, 1.0),
            None => self.decoder.forward(&latent, factor),
        }?)
    }
}

#[cfg(test)]
mod tests;
