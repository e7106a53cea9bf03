//! One launch a step (`kernels/denoise.cu`).

use super::{Background, Denoised, Outputs, Update};
use crate::device::Device;
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::ops::random::names;
use crate::tensor::random::Stream;
use crate::tensor::{DType, Tensor, scratch};

/// Numbers of a block: 256 threads with the four of one block of Philox each.
const BLOCK: usize = 256 * 4;

fn launch(cuda: &Cuda, entry: &str, like: &Tensor) -> Launch {
    let size: usize = like.shape()[1..].iter().product();
    Launch::new(cuda, entry, DType::F32).grid(size.div_ceil(BLOCK), like.dim(0), 1)
}

/// The names of the background's streams on the device.
fn background_names(cuda: &Cuda, background: Option<&Background>) -> Result<Option<Tensor>> {
    let noise = background.and_then(|background| background.noise);
    noise.map(|noise| names(noise.streams, Device::Cuda(*cuda))).transpose()
}

/// The weights of the background's latent and of its noise.
fn levels(background: Option<&Background>) -> [f32; 2] {
    background.and_then(|background| background.noise).map_or([1.0, 0.0], |noise| [noise.signal, noise.noise])
}

pub(super) fn denoise(cuda: &Cuda, outputs: Outputs, update: &Update, streams: &[Stream], background: Option<&Background>) -> Result<Denoised> {
    let like = outputs.noisy;
    let new = || scratch(cuda, like.shape(), DType::F32);
    let (clean, latent, blended) = (new()?, new()?, background.map(|_| new()).transpose()?);
    let fresh = if update.deviation == 0.0 { None } else { Some(names(streams, Device::Cuda(*cuda))?) };
    let outside = background_names(cuda, background)?;
    let launch = launch(cuda, "denoise_step", like).tensor(like).tensor(outputs.conditional).optional(outputs.unconditional).optional(fresh.as_ref());
    let launch = launch.optional(background.map(|background| background.mask)).optional(background.map(|background| background.normal));
    let launch = launch.optional(outside.as_ref()).tensor(&clean).tensor(&latent).optional(blended.as_ref());
    let launch = launch.int(like.shape()[1..].iter().product()).int(like.dim(3)).float(update.guidance);
    let weights = [update.clean, update.epsilon, update.previous].concat();
    let launch = weights.into_iter().chain([update.deviation]).chain(levels(background)).fold(launch, Launch::float);
    launch.run()?;
    Ok(Denoised { clean, latent, blended })
}

pub(super) fn blend(cuda: &Cuda, latent: &Tensor, background: &Background) -> Result<Tensor> {
    let (blended, names) = (scratch(cuda, latent.shape(), DType::F32)?, background_names(cuda, Some(background))?);
    let launch = launch(cuda, "denoise_blend", latent).tensor(latent).tensor(background.mask).tensor(background.normal).optional(names.as_ref());
    let launch = launch.tensor(&blended).int(latent.shape()[1..].iter().product()).int(latent.dim(3));
    levels(Some(background)).into_iter().fold(launch, Launch::float).run()?;
    Ok(blended)
}
