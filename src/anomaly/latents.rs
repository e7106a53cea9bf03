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
    ensure!(pictures.len() == streams.len(), "{} pictures and {} random streams", pictures.len(), streams.len());
    let posterior = vae.encode(&Var::constant(Picture::stack(pictures)?))?;
    let latent = match draw {
        LatentDraw::Mode => posterior.mode(),
        LatentDraw::Sample => posterior.sample(&normal(streams, &posterior.mean.shape()[1..])?)?,
    };
    Ok(ops::affine(&latent, vae.config().scaling_factor as f32, 0.0)?.into_tensor())
}

/// Pictures of scaled latents: `[batch, height, width, 3]`, not clipped.
pub fn decode(vae: &AutoencoderKl, latents: &Tensor) -> Result<Tensor> {
    let unscaled = ops::affine(&Var::constant(latents.clone()), 1.0 / vae.config().scaling_factor as f32, 0.0)?;
    Ok(vae.decode(&unscaled)?.into_tensor())
}

/// Standard normal numbers, each sample from its own stream: `[batch, ..sample]`.
pub fn normal(streams: &[Stream], sample: &[usize]) -> Result<Tensor> {
    let size: usize = sample.iter().product();
    let mut numbers = vec![0.0; streams.len() * size];
    for (stream, part) in streams.iter().zip(numbers.chunks_mut(size.max(1))) {
        stream.fill_normal(part);
    }
    Tensor::from_f32(numbers, &[&[streams.len()], sample].concat())
}

/// mask · inside + (1 - mask) · outside, for masks `[batch, h, w, 1]` of 0 and 1: chooses, so that both keep their exact values.
pub fn choose(mask: &Tensor, inside: &Tensor, outside: &Tensor) -> Result<Tensor> {
    let [batch, height, width, channels] = inside.dims()?;
    ensure!(outside.shape() == inside.shape(), "latents of shapes {:?} and {:?}", inside.shape(), outside.shape());
    ensure!(mask.shape() == [batch, height, width, 1], "a mask of shape {:?} for latents of shape {:?}", mask.shape(), inside.shape());
    let (mask, inside_elements, outside_elements) = (mask.f32s()?, inside.f32s()?, outside.f32s()?);
    let chosen = (0..inside.elements()).map(|index| if mask[index / channels] > 0.5 { inside_elements[index] } else { outside_elements[index] });
    Tensor::from_f32(chosen.collect::<Vec<_>>(), inside.shape())
}

/// Mean over channels of (a - b)², for one sample each of `[batch, h, w, channels]`: batch rows of h · w.
pub fn squared_difference(a: &Tensor, b: &Tensor) -> Result<Vec<Vec<f32>>> {
    let [batch, height, width, channels] = a.dims()?;
    ensure!(a.shape() == b.shape(), "differences of shapes {:?} and {:?}", a.shape(), b.shape());
    let (a, b) = (a.f32s()?, b.f32s()?);
    let position = |index: usize| {
        let range = index * channels..(index + 1) * channels;
        a[range.clone()].iter().zip(&b[range]).map(|(x, y)| (x - y) * (x - y)).sum::<f32>() / channels as f32
    };
    let area = height * width;
    Ok((0..batch).map(|sample| (sample * area..(sample + 1) * area).map(position).collect()).collect())
}
