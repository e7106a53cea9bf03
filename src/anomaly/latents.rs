//! Between pictures and the diffusion model's latents.

use crate::anomaly::presets::LatentDraw;
use crate::autograd::Var;
use crate::data::picture::Picture;
use crate::error::{Result, ensure};
use crate::models::vae::AutoencoderKl;
use crate::ops;
use crate::tensor::Tensor;
use crate::tensor::random::Stream;

/// Scaled latents of pictures whose sides are multiples of the VAE's downscale: `[batch, h, w, channels]`. Each sample draws from its own stream.
pub fn encode(vae: &AutoencoderKl, pictures: &[&Picture], draw: LatentDraw, streams: &[Stream]) -> Result<Tensor> {
    encode_stack(vae, &Picture::stack(pictures)?, draw, streams)
}

/// As [`encode`], of pictures `[batch, height, width, 3]`.
pub fn encode_stack(vae: &AutoencoderKl, pictures: &Tensor, draw: LatentDraw, streams: &[Stream]) -> Result<Tensor> {
    ensure!(pictures.dim(0) == streams.len(), "{} pictures and {} random streams", pictures.dim(0), streams.len());
    let posterior = vae.encode(&Var::constant(pictures.clone()))?;
    let latent = match draw {
        LatentDraw::Mode => posterior.mode(),
        LatentDraw::Sample => posterior.sample(&ops::normal(streams, &posterior.mean.shape()[1..], posterior.mean.device())?)?,
    };
    Ok(ops::affine(&latent, vae.config().scaling_factor as f32, 0.0)?.into_tensor())
}

/// Pictures of scaled latents: `[batch, height, width, 3]`, not clipped.
pub fn decode(vae: &AutoencoderKl, latents: &Tensor) -> Result<Tensor> {
    Ok(vae.decode_scaled(&Var::constant(latents.clone()), 1.0 / vae.config().scaling_factor as f32)?.into_tensor())
}
