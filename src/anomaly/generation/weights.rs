//! The mask and the weight map of one step (METHOD section 8).

use super::Batch;
use crate::anomaly::latents;
use crate::anomaly::reweighting::{self, Mode};
use crate::autograd::Var;
use crate::data::mask::Mask;
use crate::error::Result;
use crate::models::unet::AttentionWeights;
use crate::models::vae::AutoencoderKl;
use crate::ops;
use crate::tensor::Tensor;

/// The latent masks that a step blends with: the batch's own, or dilated as the released program does.
pub(super) fn blending_masks(batch: &Batch, mode: Mode, timestep: i32, steps: usize) -> Vec<Mask> {
    let side = batch.masks[0].width().max(batch.masks[0].height());
    match mode {
        Mode::Official => {
            let radius = reweighting::official_radius(timestep, steps, side);
            batch.masks.iter().map(|mask| mask.dilated(radius)).collect()
        }
        _ => batch.masks.clone(),
    }
}

/// The weight maps `[batch, h, w]` of [`Mode::Official`], from the noisy latent before it is blended.
pub(super) fn official(noisy: &Tensor, normal: &Tensor, masks: &[Mask]) -> Result<Tensor> {
    maps(latents::squared_difference(noisy, normal)?, masks, reweighting::official)
}

/// The weight maps `[batch, h, w]` of [`Mode::Default`], from an estimate of the finished latent.
pub(super) fn balanced(estimate: &Tensor, normal: &Tensor, masks: &[Mask]) -> Result<Tensor> {
    maps(latents::squared_difference(estimate, normal)?, masks, reweighting::balanced)
}

/// The weight maps `[batch, h, w]` of [`Mode::Paper`]: Eq. 7 in decoded pixels, then the area average over each latent cell.
pub(super) fn paper(vae: &AutoencoderKl, estimate: &Tensor, batch: &Batch) -> Result<Tensor> {
    let [_, height, width, _] = estimate.dims()?;
    let decoded = latents::decode(vae, estimate)?;
    let mut differences = latents::squared_difference(&decoded, &batch.pictures)?;
    // Eq. 7 sums over the channels.
    let channels = decoded.dim(3) as f32;
    differences.iter_mut().flatten().for_each(|difference| *difference *= channels);
    let pixels = maps(differences, &batch.pixel_masks, reweighting::paper)?;
    let [count, rows, columns] = pixels.dims()?;
    let cells = ops::area_pool(&Var::constant(pixels.reshape(&[count, rows, columns, 1])?), height, width)?;
    cells.tensor().reshape(&[count, height, width])
}

fn maps(differences: Vec<Vec<f32>>, masks: &[Mask], formula: fn(&[f32], &[bool]) -> Vec<f32>) -> Result<Tensor> {
    let (width, height) = (masks[0].width(), masks[0].height());
    let elements: Vec<f32> = differences.iter().zip(masks).flat_map(|(difference, mask)| formula(difference, mask.pixels())).collect();
    Tensor::from_f32(elements, &[masks.len(), height, width])
}

/// A weight map where its mode applies it.
pub(super) fn attention(mode: Mode, columns: &Tensor, map: Tensor) -> AttentionWeights {
    let columns = columns.clone();
    match mode {
        Mode::Official => AttentionWeights { columns, probability: None, logit: Some(map) },
        _ => AttentionWeights { columns, probability: Some(map), logit: None },
    }
}
