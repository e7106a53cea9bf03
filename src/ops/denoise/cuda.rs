//! One launch a step (`kernels/denoise.cu`).

use super::{Background, BackgroundNoise, Denoised, Outputs, Updates};
use crate::device::Device;
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::ops::random::names;
use crate::tensor::{DType, Tensor, scratch};

/// Numbers of a block: 256 threads with the four of one block of Philox each.
const BLOCK: usize = 256 * 4;

fn launch(cuda: &Cuda, entry: &str, like: &Tensor) -> Launch {
    let size: usize = like.shape()[1..].iter().product();
    Launch::new(cuda, entry, DType::F32).grid(size.div_ceil(BLOCK), like.dim(0), 1)
}

pub(super) fn denoise(cuda: &Cuda, outputs: Outputs, updates: &Updates, number: &Tensor, background: Option<&Background>) -> Result<Denoised> {
    let like = outputs.noisy;
    let new = || scratch(cuda, like.shape(), DType::F32);
    let (clean, latent, blended) = (new()?, new()?, background.map(|_| new()).transpose()?);
    let launch = launch(cuda, "denoise_step", like).tensor(like).tensor(outputs.conditional).optional(outputs.unconditional);
    let launch = launch.tensor(&updates.weights).tensor(&updates.inside).tensor(&updates.outside).tensor(number);
    let launch = launch.optional(background.map(|background| background.mask)).optional(background.map(|background| background.normal));
    let launch = launch.tensor(&clean).tensor(&latent).optional(blended.as_ref());
    launch.int(like.shape()[1..].iter().product()).int(like.dim(3)).run()?;
    Ok(Denoised { clean, latent, blended })
}

pub(super) fn blend(cuda: &Cuda, latent: &Tensor, background: &Background, noise: Option<BackgroundNoise>) -> Result<Tensor> {
    let blended = scratch(cuda, latent.shape(), DType::F32)?;
    let streams = noise.map(|noise| names(noise.streams, Device::Cuda(*cuda))).transpose()?;
    let [signal, level] = noise.map_or([1.0, 0.0], |noise| [noise.signal, noise.noise]);
    let launch = launch(cuda, "denoise_blend", latent).tensor(latent).tensor(background.mask).tensor(background.normal).optional(streams.as_ref());
    launch.tensor(&blended).int(latent.shape()[1..].iter().product()).int(latent.dim(3)).float(signal).float(level).run()?;
    Ok(blended)
}
