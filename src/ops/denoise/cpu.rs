//! Element by element. Products and sums are not fused, as in the kernel.

use super::{Background, BackgroundNoise, Denoised, Outputs, PlannedUpdate};
use crate::device::Device;
use crate::error::Result;
use crate::ops::normal;
use crate::tensor::Tensor;

fn combine(a: f32, x: f32, b: f32, y: f32) -> f32 {
    a * x + b * y
}

pub(super) fn denoise(outputs: Outputs, planned: &PlannedUpdate, background: Option<&Background>) -> Result<Denoised> {
    let (shape, update) = (outputs.noisy.shape(), &planned.weights);
    let (noisy, conditional) = (outputs.noisy.f32s()?, outputs.conditional.f32s()?);
    let unconditional = outputs.unconditional.map(Tensor::f32s).transpose()?;
    let fresh = if update.deviation == 0.0 { None } else { Some(normal(&planned.inside, &shape[1..], Device::Cpu)?) };
    let fresh = fresh.as_ref().map(Tensor::f32s).transpose()?;
    let (mut clean, mut latent) = (Vec::with_capacity(noisy.len()), Vec::with_capacity(noisy.len()));
    for (index, (&noisy, &conditional)) in noisy.iter().zip(conditional.iter()).enumerate() {
        let guided = |plain: &[f32]| combine(1.0 - update.guidance, plain[index], update.guidance, conditional);
        let output = unconditional.as_deref().map_or(conditional, guided);
        let found = combine(update.clean[0], noisy, update.clean[1], output);
        let epsilon = if update.epsilon[0] == 0.0 { output } else { combine(update.epsilon[1], output, update.epsilon[0], noisy) };
        let next = combine(update.previous[0], found, update.previous[1], epsilon);
        clean.push(found);
        latent.push(fresh.as_deref().map_or(next, |fresh| next + update.deviation * fresh[index]));
    }
    let (clean, latent) = (Tensor::from_f32(clean, shape)?, Tensor::from_f32(latent, shape)?);
    let [signal, noise] = update.outside;
    let outside = (noise != 0.0).then_some(BackgroundNoise { signal, noise, streams: &planned.outside });
    let blended = background.map(|background| blend(&latent, background, outside)).transpose()?;
    Ok(Denoised { clean, latent, blended })
}

pub(super) fn blend(latent: &Tensor, background: &Background, noise: Option<BackgroundNoise>) -> Result<Tensor> {
    let (shape, channels) = (latent.shape(), latent.dim(3));
    let (inside, mask, clean) = (latent.f32s()?, background.mask.f32s()?, background.normal.f32s()?);
    let fresh = noise.map(|noise| normal(noise.streams, &shape[1..], Device::Cpu)).transpose()?;
    let fresh = fresh.as_ref().map(Tensor::f32s).transpose()?;
    let outside = |index: usize| match (noise, &fresh) {
        (Some(noise), Some(fresh)) => combine(noise.signal, clean[index], noise.noise, fresh[index]),
        _ => clean[index],
    };
    let blended = inside.iter().enumerate().map(|(index, &inside)| if mask[index / channels] > 0.5 { inside } else { outside(index) });
    Tensor::from_f32(blended.collect::<Vec<_>>(), shape)
}
