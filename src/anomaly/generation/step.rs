//! One step of a batch: weights, the network, the update and the blend. On a GPU it is captured as a graph, all modes alike: it waits for nothing and
//! copies nothing from or to the host.

use super::batch::{Batch, State};
use super::{Generator, weights};
use crate::anomaly::reweighting::{Estimate, Mode};
use crate::autograd::Var;
use crate::error::Result;
use crate::models::unet::PreparedTimes;
use crate::ops;
use crate::tensor::Tensor;

impl Generator<'_> {
    /// Whether a step has nothing to take its weights from: the first one, where these come from the estimate of the step before.
    pub(super) fn is_unweighted(&self, number: usize) -> bool {
        let reweighting = self.settings.reweighting;
        number == 0 && reweighting.estimate == Estimate::Previous && matches!(reweighting.mode, Mode::Paper | Mode::Default)
    }

    /// One step, the `number`-th: i32 `[batch]` of equal elements, where the latents are.
    pub(super) fn advance(&self, batch: &Batch, state: &State, number: &Tensor, unweighted: bool) -> Result<State> {
        let times = self.times.at(number)?;
        let map = if unweighted { None } else { self.weight_map(batch, state, &times, number)? };
        let attention = map.clone().map(|map| weights::attention(self.settings.reweighting.mode, &batch.columns, map));
        let predicted = batch.context.predict(&self.base.unet, &state.blended, &times, attention.as_ref())?;
        let masks = weights::masks_behind(batch, number)?;
        let background = batch.background(masks.as_ref().unwrap_or(&batch.masks));
        let next = ops::denoise(predicted.outputs(&state.blended), &batch.updates, number, Some(&background))?;
        let blended = next.blended.unwrap_or_else(|| next.latent.clone());
        let sum = ops::add(&Var::constant(state.sum.clone()), &ops::sum(&Var::constant(next.latent.clone()))?)?.into_tensor();
        Ok(State { latent: next.latent, blended, masks, estimate: next.clean, map: map.or_else(|| state.map.clone()), sum })
    }

    /// The weight maps `[batch, h, w]` of a step.
    fn weight_map(&self, batch: &Batch, state: &State, times: &PreparedTimes, number: &Tensor) -> Result<Option<Tensor>> {
        let reweighting = self.settings.reweighting;
        let estimate = || match reweighting.estimate {
            Estimate::Previous => Ok(state.estimate.clone()),
            Estimate::Current => self.current(batch, state, times, number),
        };
        Ok(match reweighting.mode {
            Mode::Off => None,
            Mode::Official => Some(weights::official(&state.latent, &batch.normal, state.masks.as_ref().unwrap_or(&batch.masks))?),
            Mode::Paper => Some(weights::paper(&self.base.vae, &estimate()?, batch)?),
            Mode::Default => Some(weights::balanced(&estimate()?, &batch.normal, &batch.masks)?),
        })
    }

    /// The estimates of the clean latents by an un-weighted prediction at this very step.
    fn current(&self, batch: &Batch, state: &State, times: &PreparedTimes, number: &Tensor) -> Result<Tensor> {
        let predicted = batch.context.predict(&self.base.unet, &state.blended, times, None)?;
        Ok(ops::denoise(predicted.outputs(&state.blended), &batch.updates, number, None)?.clean)
    }
}
