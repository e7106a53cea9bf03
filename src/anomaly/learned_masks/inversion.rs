//! One step of textual inversion on masks (METHOD section 6; paper Eq. 9): the loss whose gradient moves e_m.

use crate::anomaly::conditioning::Conditioner;
use crate::anomaly::inversion::{Noised, Streams};
use crate::anomaly::latents;
use crate::anomaly::learned_masks::{LearnedMasks, MaskExample};
use crate::autograd::Var;
use crate::data::picture::Picture;
use crate::diffusion::Schedule;
use crate::error::{Result, ensure};
use crate::models::base::BaseModel;
use crate::ops::{self, MaskedMean};
use crate::tensor::Tensor;

/// The frozen base model and what is learned on it.
pub struct MaskInversion<'a> {
    base: &'a BaseModel,
    masks: &'a LearnedMasks,
    conditioner: Conditioner<'a>,
    schedule: Schedule,
}

impl<'a> MaskInversion<'a> {
    /// Prepares the prompts. The embeddings become trainable.
    pub fn new(base: &'a BaseModel, masks: &'a LearnedMasks) -> Result<Self> {
        masks.parameters().set_trainable(true);
        Ok(Self {
            base,
            masks,
            conditioner: conditioner(base, masks)?,
            schedule: Schedule::from_json(&base.scheduler_config.text, &base.scheduler_config.origin)?,
        })
    }

    /// The loss of a batch: masks drawn as pictures, encoded and noised at uniformly drawn steps; mean of (noise - prediction)² over all of it.
    ///
    /// `first` is the position of the first example within the step; nothing depends on how a step is cut into batches.
    pub fn loss(&self, purpose: &str, step: u64, first: u64, examples: &[MaskExample]) -> Result<Var> {
        ensure!(!examples.is_empty(), "a batch needs at least one example");
        let streams = Streams { seed: self.masks.metadata.seed, purpose, step, first, count: examples.len() as u64 };
        let pictures: Vec<Picture> = examples.iter().map(|example| example.mask.to_picture()).collect();
        let clean = latents::encode(&self.base.vae, &pictures.iter().collect::<Vec<_>>(), self.masks.metadata.preset.latent, &streams.of("latent"))?;
        let Noised { latents, timesteps, target } = Noised::draw(&self.schedule, &clean, &streams)?;
        let learned: Vec<(usize, Var)> = examples.iter().map(|example| (example.template, self.masks.embedding(example.kind).var())).collect();
        let context = self.conditioner.context_of(&learned)?;
        let prediction = self.base.unet.forward(&Var::constant(latents), &timesteps, &context.tokens, None)?;
        let [batch, height, width, _] = clean.dims()?;
        ops::masked_mse(&prediction, &target, &Tensor::full(1.0, &[batch, height, width, 1]).to_device(clean.device())?, MaskedMean::Elements)
    }
}

/// The prompts of mask embeddings.
pub(super) fn conditioner<'a>(base: &'a BaseModel, masks: &LearnedMasks) -> Result<Conditioner<'a>> {
    let preset = &masks.metadata.preset;
    Conditioner::new(&base.text_encoder, &base.tokenizer, &masks.metadata.templates, preset.conditioning, preset.tokens)
}
