//! The third stage: the UNet learns to predict the velocity of noisy latents from their captions; the text encoder is finished and frozen, or learns with it,
//! more slowly.

use std::path::PathBuf;

use super::latents::Latents;
use super::preview::Sampling;
use super::recipe::DenoiserRecipe;
use super::start;
use crate::autograd::Var;
use crate::diffusion::Schedule;
use crate::error::Result;
use crate::models::base::BaseModel;
use crate::models::clip::ClipTextModel;
use crate::models::tokenizer::ClipTokenizer;
use crate::models::unet::{Unet, UnetConfig};
use crate::models::vae::AutoencoderKl;
use crate::nn::{ParameterSet, ParameterSource, Path};
use crate::ops::{self, MaskedMean};
use crate::tensor::Tensor;
use crate::tensor::random::{Sampler, Stream};
use crate::training::fit::{Loss, Task};
use crate::training::recorder::Recorder;

/// The UNet in training.
pub struct DenoiserStage {
    recipe: DenoiserRecipe,
    seed: u64,
    schedule: Schedule,
    unet: Unet,
    text_encoder: ClipTextModel,
    parameters: ParameterSet,
    text_parameters: ParameterSet,
}

/// The encoded pictures of the stage.
pub struct Pool {
    /// Latents of small pictures.
    pub small: Latents,
    /// Latents of pictures of twice the side.
    pub large: Latents,
    /// Token ids of the empty caption.
    pub empty: Vec<i32>,
    /// Multiplies the latents: the finished autoencoder's scaling factor.
    pub scale: f64,
}

/// The stage as the training loop sees it.
pub struct DenoiserTask<'a> {
    /// What is trained.
    pub stage: &'a DenoiserStage,
    /// What it is trained on.
    pub pool: &'a Pool,
    /// Decodes previews.
    pub vae: &'a AutoencoderKl,
    /// Tokenises their captions.
    pub tokenizer: &'a ClipTokenizer,
    /// Folder for pictures.
    pub previews: PathBuf,
}

impl Task for DenoiserTask<'_> {
    fn loss(&mut self, step: u64, _part: usize) -> Result<Loss> {
        Ok(self.stage.loss(self.pool, step)?.into())
    }

    /// Samples of fixed captions.
    fn validate(&mut self, step: u64, _: &mut Recorder) -> Result<()> {
        let DenoiserStage { unet, text_encoder, schedule, .. } = self.stage;
        let sampling = Sampling { vae: self.vae, scale: self.pool.scale, unet, text_encoder, tokenizer: self.tokenizer, schedule };
        for (name, side) in [("small", self.pool.small.side()), ("large", self.pool.large.side())] {
            let picture = sampling.draw(side, PREVIEW_STEPS, PREVIEW_GUIDANCE)?;
            picture.save(&self.previews.join(format!("samples-{name}-{step:06}.png")))?;
        }
        Ok(())
    }
}

/// Sampler steps of a preview, and its guidance.
const PREVIEW_STEPS: usize = 20;
const PREVIEW_GUIDANCE: f64 = 2.0;

/// One step's input.
struct Batch {
    latent: Tensor,
    captions: Tensor,
    timesteps: Vec<i32>,
}

impl DenoiserStage {
    /// A UNet with all parameters trainable, its first values from `source`, beside a finished text encoder with its parameters.
    pub fn new(
        recipe: &DenoiserRecipe,
        config: &UnetConfig,
        (text_encoder, text_parameters): (ClipTextModel, ParameterSet),
        schedule: Schedule,
        seed: u64,
        source: &dyn ParameterSource,
    ) -> Result<Self> {
        let path = Path::root(source);
        let unet = Unet::new(&path, config)?;
        let parameters = path.parameters();
        parameters.set_trainable(true);
        start::quiet_branches(&parameters)?;
        text_parameters.set_trainable(recipe.text_rate > 0.0);
        Ok(Self { recipe: recipe.clone(), seed, schedule, unet, text_encoder, parameters, text_parameters })
    }

    /// The UNet of a finished model, with all parameters trainable.
    pub fn of(recipe: &DenoiserRecipe, base: &BaseModel, seed: u64) -> Result<Self> {
        let (parameters, text_parameters) = (base.details.unet.parameters.clone(), base.details.text_encoder.parameters.clone());
        parameters.set_trainable(true);
        text_parameters.set_trainable(recipe.text_rate > 0.0);
        let (unet, text_encoder) = (base.unet.clone(), base.text_encoder.clone());
        Ok(Self { recipe: recipe.clone(), seed, schedule: Schedule::of(base)?, unet, text_encoder, parameters, text_parameters })
    }

    /// The velocity predictor.
    pub fn unet(&self) -> &Unet {
        &self.unet
    }

    /// The text encoder.
    pub fn text_encoder(&self) -> &ClipTextModel {
        &self.text_encoder
    }

    /// The UNet's parameters.
    pub fn parameters(&self) -> &ParameterSet {
        &self.parameters
    }

    /// The text encoder's.
    pub fn text_parameters(&self) -> &ParameterSet {
        &self.text_parameters
    }

    /// What is trained here, each set with its part of the learning rate.
    pub fn trained(&self) -> Vec<(ParameterSet, f64)> {
        let text = (self.text_parameters.clone(), self.recipe.text_rate);
        [(self.parameters.clone(), 1.0), text].into_iter().filter(|&(_, rate)| rate > 0.0).collect()
    }

    /// Weighted mean of squared errors of the velocity, shape `[]`: a pure function of parameters, pool, seed and step.
    pub fn loss(&self, pool: &Pool, step: u64) -> Result<Var> {
        let batch = self.batch(pool, step)?;
        let (device, shape) = (batch.latent.device(), batch.latent.shape());
        let noise = ops::normal(&[Stream::new(self.seed, "pretraining noise", &[step])], shape, device)?.reshape(shape)?;
        let timesteps = Tensor::from_i32(batch.timesteps.clone(), &[batch.timesteps.len()])?;
        let noisy = self.schedule.add_noise(&batch.latent, &noise, &timesteps)?;
        let context = self.text_encoder.forward(&batch.captions)?;
        let predicted = self.unet.forward(&Var::constant(noisy), &timesteps, &context, None)?;
        let target = self.schedule.target(&batch.latent, &noise, &timesteps)?;
        ops::masked_mse(&predicted, &target, &self.weights(&batch)?, MaskedMean::Elements)
    }

    /// The root of each sample's weight min(limit + 1, snr + 1) / (snr + 1), `[batch, height, width, 1]`: steps that are nearly clean would otherwise
    /// take most of the network's attention for what the eye does not see.
    fn weights(&self, batch: &Batch) -> Result<Tensor> {
        let [count, height, width, _] = batch.latent.dims()?;
        let alphas = self.schedule.alphas_cumprod();
        let mut weights = Vec::with_capacity(count * height * width);
        for &timestep in &batch.timesteps {
            let alpha = alphas[timestep as usize];
            let ratio = alpha / (1.0 - alpha);
            let weight = ((ratio.min(self.recipe.snr_limit) + 1.0) / (ratio + 1.0)).sqrt() as f32;
            weights.extend(std::iter::repeat_n(weight, height * width));
        }
        Tensor::from_f32(weights, &[count, height, width, 1])?.to_device(batch.latent.device())
    }

    fn batch(&self, pool: &Pool, step: u64) -> Result<Batch> {
        let DenoiserRecipe { batch, small_steps, small_every, empty_captions, small_times, large_times, .. } = self.recipe;
        let large = step >= small_steps && step % small_every != small_every - 1;
        let (latents, count, times) = if large { (&pool.large, batch.div_ceil(4), large_times) } else { (&pool.small, batch, small_times) };
        let side = latents.side();
        let mut order = Sampler::new(self.seed, "pretraining batch", &[step]);
        let (mut latent, mut captions, mut timesteps) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..count {
            let picture = order.below(latents.count());
            latents.append(picture, pool.scale as f32, &mut latent)?;
            captions.extend_from_slice(if order.chance(empty_captions) { &pool.empty } else { latents.caption(picture)? });
            // One time step from each of `count` equal parts: less variance than free draws.
            let position = times.of((index as f32 + order.uniform()) / count as f32);
            timesteps.push(((position * self.schedule.train_timesteps() as f32) as i32).min(self.schedule.train_timesteps() as i32 - 1));
        }
        // Which picture gets which part must not depend on its place in the batch.
        let shuffled = order.permutation(count);
        let timesteps = shuffled.into_iter().map(|index| timesteps[index]).collect();
        let latent = Tensor::from_f32(latent, &[count, side, side, pool.small.channels()])?.to_device(self.unet.placement().device)?;
        let tokens = pool.empty.len();
        Ok(Batch { latent, captions: Tensor::from_i32(captions, &[count, tokens])?, timesteps })
    }
}
