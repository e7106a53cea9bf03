//! The mask and the weight map of one step (METHOD section 8).

use super::batch::Batch;
use crate::anomaly::latents;
use crate::anomaly::reweighting::{self, Mode};
use crate::autograd::Var;
use crate::diffusion::ddim::Step;
use crate::error::Result;
use crate::models::unet::AttentionWeights;
use crate::models::vae::AutoencoderKl;
use crate::ops::{self, Formula};
use crate::tensor::Tensor;

/// The latent masks `[batch, h, w, 1]` that stand at a time step: the batch's own, or dilated as the released program does.
pub(super) fn blending_masks(masks: &Tensor, mode: Mode, timestep: i32, steps: usize) -> Result<Tensor> {
    let [_, height, width, _] = masks.dims()?;
    match mode {
        Mode::Official => {
            let radius = reweighting::official_radius(timestep, steps, width.max(height));
            // The largest over a square of side 2r + 1.
            Ok(ops::max_pool(&Var::constant(masks.clone()), 2 * radius + 1, 1, radius)?.into_tensor())
        }
        _ => Ok(masks.clone()),
    }
}

/// Where masks change from step to step: those behind each step, `[steps, batch · h · w]`; behind the last step the batch's own.
pub(super) fn all_masks_behind(masks: &Tensor, mode: Mode, steps: &[Step]) -> Result<Option<Tensor>> {
    if mode != Mode::Official {
        return Ok(None);
    }
    let row = [1, masks.elements()];
    let next = steps.iter().skip(1).map(|step| blending_masks(masks, mode, step.timestep, steps.len()));
    let rows = next.chain([Ok(masks.clone())]).map(|masks| Ok(Var::constant(masks?.reshape(&row)?)));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    Ok(Some(ops::concat(&rows.iter().collect::<Vec<_>>(), 0)?.into_tensor()))
}

/// The masks behind step `number`, where they change.
pub(super) fn masks_behind(batch: &Batch, number: &Tensor) -> Result<Option<Tensor>> {
    let Some(table) = &batch.masks_behind else { return Ok(None) };
    let first = ops::narrow(&Var::constant(number.clone()), 0, 0, 1)?;
    Ok(Some(ops::rows(table, &first)?.reshape(batch.masks.shape())?))
}

/// The weight maps `[batch, h, w]` of [`Mode::Official`], from the noisy latent before it is blended.
pub(super) fn official(noisy: &Tensor, normal: &Tensor, masks: &Tensor) -> Result<Tensor> {
    ops::weight_map(Formula::Official, noisy, normal, masks)
}

/// The weight maps `[batch, h, w]` of [`Mode::Default`], from an estimate of the finished latent.
pub(super) fn balanced(estimate: &Tensor, normal: &Tensor, masks: &Tensor) -> Result<Tensor> {
    ops::weight_map(Formula::Balanced, estimate, normal, masks)
}

/// The weight maps `[batch, h, w]` of [`Mode::Paper`]: Eq. 7 in decoded pixels, then the area average over each latent cell.
pub(super) fn paper(vae: &AutoencoderKl, estimate: &Tensor, batch: &Batch) -> Result<Tensor> {
    let [_, height, width, _] = estimate.dims()?;
    let pixels = ops::weight_map(Formula::Paper, &latents::decode(vae, estimate)?, &batch.pictures, &batch.pixel_masks)?;
    let [count, rows, columns] = pixels.dims()?;
    let cells = ops::area_pool(&Var::constant(pixels.reshape(&[count, rows, columns, 1])?), height, width)?;
    cells.tensor().reshape(&[count, height, width])
}

/// A weight map where its mode applies it.
pub(super) fn attention(mode: Mode, columns: &Tensor, map: Tensor) -> AttentionWeights {
    let columns = columns.clone();
    match mode {
        Mode::Official => AttentionWeights { columns, probability: None, logit: Some(map) },
        _ => AttentionWeights { columns, probability: Some(map), logit: None },
    }
}
