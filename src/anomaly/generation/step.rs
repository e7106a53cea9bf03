//! One step of a batch: weights, the network, the update and the blend. On a GPU it is captured as a graph, all modes alike: it waits for nothing and
//! copies nothing from or to the host.

use super::batch::{Batch, State};
use super::{Generator, weights};
use crate::anomaly::reweighting::{Estimate, Mode};
use crate::autograd::Var;
use crate::error::{Error, Result};
use crate::models::unet::{AttentionWeights, PreparedTimes};
use crate::ops::{self, Outputs};
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
        let (conditional, unconditional) = self.predict(batch, &state.blended, &times, attention.as_ref())?;
        let outputs = Outputs { noisy: &state.blended, conditional: &conditional, unconditional: unconditional.as_ref() };
        let masks = weights::masks_behind(batch, number)?;
        let background = batch.background(masks.as_ref().unwrap_or(&batch.masks));
        let next = ops::denoise(outputs, &batch.updates, number, Some(&background))?;
        let blended = next.blended.unwrap_or_else(|| next.latent.clone());
        let sum = ops::add(&Var::constant(state.sum.clone()), &ops::sum(&Var::constant(next.latent.clone()))?)?.into_tensor();
        Ok(State { latent: next.latent, blended, masks, estimate: next.clean, map: map.or_else(|| state.map.clone()), sum })
    }

    /// The weight maps `[batch, h, w]` of a step.
    fn weight_map(&self, batch: &Batch, state: &State, times: &PreparedTimes, number: &Tensor) -> Result<Option<Tensor>> {
        let reweighting = self.settings.reweighting;
        Ok(Some(match (reweighting.mode, reweighting.estimate) {
            (Mode::Off, _) => return Ok(None),
            (Mode::Official, _) => weights::official(&state.latent, &batch.normal, state.masks.as_ref().unwrap_or(&batch.masks))?,
            (Mode::Paper, Estimate::Previous) => weights::paper(&self.base.vae, &state.estimate, batch)?,
            (Mode::Default, Estimate::Previous) => weights::balanced(&state.estimate, &batch.normal, &batch.masks)?,
            (Mode::Paper, Estimate::Current) => weights::paper(&self.base.vae, &self.current(batch, state, times, number)?, batch)?,
            (Mode::Default, Estimate::Current) => weights::balanced(&self.current(batch, state, times, number)?, &batch.normal, &batch.masks)?,
        }))
    }

    /// The estimates of the clean latents by an un-weighted prediction at this very step.
    fn current(&self, batch: &Batch, state: &State, times: &PreparedTimes, number: &Tensor) -> Result<Tensor> {
        let (conditional, unconditional) = self.predict(batch, &state.blended, times, None)?;
        let outputs = Outputs { noisy: &state.blended, conditional: &conditional, unconditional: unconditional.as_ref() };
        Ok(ops::denoise(outputs, &batch.updates, number, None)?.clean)
    }

    /// The network's outputs for the context and, when guided, for none; the weights act on the first alone.
    fn predict(
        &self,
        batch: &Batch,
        latent: &Tensor,
        times: &PreparedTimes,
        attention: Option<&AttentionWeights>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let sample = Var::constant(latent.clone());
        let output = |context, attention| Ok::<_, Error>(self.base.unet.forward_prepared(&sample, times, context, attention)?.into_tensor());
        let conditional = output(&batch.context, attention)?;
        Ok((conditional, batch.unconditional.as_ref().map(|context| output(context, None)).transpose()?))
    }
}
