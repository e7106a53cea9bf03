//! One step of masked textual inversion (METHOD section 5; paper Eq. 5 and 6): the loss whose gradient moves e_a and E.

mod examples;
mod noised;
#[cfg(test)]
mod tests;

use crate::anomaly::conditioning::{Conditioner, Sample};
use crate::anomaly::latents;
use crate::anomaly::learned::{Learned, LookShare};
use crate::anomaly::presets::{BatchNormPolicy, LossMean};
use crate::autograd::Var;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::diffusion::Schedule;
use crate::error::{Result, ensure};
use crate::models::base::BaseModel;
use crate::ops::{self, MaskedMean};
use crate::tensor::Tensor;

pub(in crate::anomaly) use examples::kind_at;
pub use examples::{Example, Examples, resized_mask, split_rule};
pub(in crate::anomaly) use noised::{Noised, Streams};

/// Passes over training masks that [`Inversion::measure_batch_norm`] makes: with a momentum of 0.1 the running averages forget what they started from.
const MEASURING_PASSES: u64 = 60;
/// Masks in each.
const MEASURING_BATCH: usize = 8;

/// The frozen base model and what is learned on it.
pub struct Inversion<'a> {
    base: &'a BaseModel,
    learned: &'a Learned,
    conditioner: Conditioner<'a>,
    schedule: Schedule,
}

impl<'a> Inversion<'a> {
    /// Prepares the prompts. The learned parameters become trainable.
    pub fn new(base: &'a BaseModel, learned: &'a Learned) -> Result<Self> {
        let preset = &learned.metadata.preset;
        let rows = preset.anomaly_tokens + preset.spatial_tokens;
        let conditioner = Conditioner::new(&base.text_encoder, &base.tokenizer, &learned.metadata.templates, preset.conditioning, rows)?;
        learned.parameters().set_trainable(true);
        Ok(Self { base, learned, conditioner, schedule: Schedule::from_json(&base.scheduler_config.text, &base.scheduler_config.origin)? })
    }

    /// Whether E's batch norm uses the statistics of the batch in training.
    fn batch_statistics(&self) -> bool {
        self.learned.metadata.preset.batch_norm != BatchNormPolicy::Measured
    }

    /// For [`BatchNormPolicy::Measured`]: sets E's running statistics to those of augmented training masks.
    pub fn measure_batch_norm(&self, examples: &Examples) -> Result<()> {
        if self.batch_statistics() {
            return Ok(());
        }
        for pass in 0..MEASURING_PASSES {
            let batch = examples.draw("measuring", pass, 0, MEASURING_BATCH);
            self.learned.encoder().forward(&self.encoder_masks(&batch)?, true)?;
        }
        Ok(())
    }

    /// The masked loss of a batch: of the whole image's latent z0, noised at a uniformly drawn step, mean of (mask · (noise - prediction))².
    ///
    /// `first` is the position of the first example within the step (a step may consist of several batches): example i draws its time step, its
    /// noise and its latent from streams named by (seed, purpose, step, first + i), so nothing depends on how a step is cut into batches.
    pub fn loss(&self, purpose: &str, step: u64, first: u64, examples: &[Example]) -> Result<Var> {
        ensure!(!examples.is_empty(), "a batch needs at least one example");
        let preset = &self.learned.metadata.preset;
        let streams = Streams { seed: self.learned.metadata.seed, purpose, step, first, count: examples.len() as u64 };
        let pictures: Vec<&Picture> = examples.iter().map(|example| &example.sample.picture).collect();
        let clean = latents::encode(&self.base.vae, &pictures, preset.training.latent, &streams.of("latent"))?;
        let [_, height, width, _] = clean.dims()?;
        let Noised { latents: noisy, timesteps, target } = Noised::draw(&self.schedule, &clean, &streams)?;

        let context = self.context(examples)?;
        let prediction = self.base.unet.forward(&Var::constant(noisy), &timesteps, &context, None)?;
        let mask = |example: &Example| match preset.training.masked_loss {
            true => example.sample.mask.resized(width, height, preset.cells),
            false => Mask::from_fn(width, height, |_, _| true),
        };
        let masks: Vec<Mask> = examples.iter().map(mask).collect();
        let masks = Mask::stack(&masks.iter().collect::<Vec<_>>())?.to_device(clean.device())?;
        let mean = match preset.training.loss_mean {
            LossMean::Elements => MaskedMean::Elements,
            LossMean::MaskArea => MaskedMean::MaskArea,
        };
        ops::masked_mse(&prediction, &target, &masks, mean)
    }

    /// The context of a batch, with gradients to the e_a of the types present and to E.
    fn context(&self, examples: &[Example]) -> Result<Var> {
        let spatial = self.learned.encoder().forward(&self.encoder_masks(examples)?, self.batch_statistics())?;
        let sample = |example: &Example| -> Result<Sample> {
            Ok(Sample {
                template: example.template,
                anomaly: self.learned.looking_like(example.kind, &[LookShare { pair: example.pair, share: 1.0 }])?,
            })
        };
        Ok(self.conditioner.context(&examples.iter().map(sample).collect::<Result<Vec<_>>>()?, &spatial)?.tokens)
    }

    /// The masks at the encoder's size.
    fn encoder_masks(&self, examples: &[Example]) -> Result<Tensor> {
        let size = self.learned.metadata.encoder.mask_size();
        let masks: Vec<Mask> = examples.iter().map(|example| example.sample.mask.resized(size, size, self.learned.metadata.preset.cells)).collect();
        Mask::stack(&masks.iter().collect::<Vec<_>>())
    }
}
