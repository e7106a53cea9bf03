//! Pretraining of a small latent diffusion model from nothing, on procedural pictures (`data::pretraining`): first the autoencoder; then, on its
//! latents, the text encoder, and with that frozen the UNet.
//!
//! A run's folder holds `autoencoder/`, `text/` and `denoiser/` with checkpoints, logs and previews, `latents/` with the encoded pictures, and in the end
//! `model/` in the diffusers layout.

pub mod autoencoder;
pub mod captions;
pub mod denoiser;
mod export;
pub mod latents;
pub mod preview;
pub mod recipe;
mod shapes;
mod start;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::data::pretraining;
use crate::device::Device;
use crate::diffusion::Schedule as NoiseSchedule;
use crate::digest::hexadecimal;
use crate::error::Result;
use crate::files;
use crate::models::base::BaseModel;
use crate::models::clip::ClipTextConfig;
use crate::models::tokenizer::{self, ClipTokenizer};
use crate::models::unet::UnetConfig;
use crate::models::vae::{AutoencoderKl, VaeConfig};
use crate::nn::{Parameter, ParameterSet, Placement, RandomInit};
use crate::tensor::{DType, Tensor};
use crate::training::adamw::{AdamW, AdamWOptions, Group};
use crate::training::checkpoint::Identity;
use crate::training::ema::Ema;
use crate::training::fit::{Plan, Task, fit};
use crate::training::schedule::Schedule;
use crate::training::state::State;
use crate::weights;
use autoencoder::{AutoencoderStage, AutoencoderTask};
use captions::{Outlines, TextStage, TextTask};
use denoiser::{DenoiserStage, DenoiserTask, Pool};
use latents::Series;
use recipe::Recipe;

/// A pretraining run.
#[derive(Clone, Debug)]
pub struct Pretraining {
    /// What to train and for how long.
    pub recipe: Recipe,
    /// Seed of parameters, pictures and noise.
    pub seed: u64,
    /// The run's folder.
    pub folder: PathBuf,
    /// Steps between two checkpoints.
    pub checkpoint_every: u64,
    /// Steps between two previews.
    pub preview_every: u64,
    /// Where to compute.
    pub device: Device,
}

/// Largest global norm of a gradient.
const CLIP_NORM: f64 = 1.0;
/// Decay of the squared gradients' mean: short runs need it to follow quickly.
const SQUARED_DECAY: f64 = 0.99;

impl Pretraining {
    /// The first stage, or what is left of it; its result is the moving average of the parameters.
    pub fn autoencoder(&self) -> Result<AutoencoderStage> {
        let recipe = &self.recipe.autoencoder;
        let config = VaeConfig::from_json(self.recipe.vae, "the recipe's vae/config.json")?;
        let stage = AutoencoderStage::new(recipe, &config, self.seed, &RandomInit { seed: self.seed })?;
        let plan = self.plan("autoencoder", recipe.steps, recipe.learning_rate, recipe.warm_up, recipe.finishing_steps);
        let identity = self.identity("autoencoder", "", json!({"vae": self.recipe.vae, "recipe": recipe}));
        let folder = self.folder.join("autoencoder");
        let mut task = AutoencoderTask { stage: &stage, previews: previews(&folder)? };
        self.train(&folder, &identity, &plan, &[(stage.parameters().clone(), 1.0)], recipe.average, &mut task)?;
        stage.settle()?;
        Ok(stage)
    }

    /// The second and third stage, or what is left of them, on the latents of the first.
    pub fn denoiser(&self, vae: &AutoencoderKl) -> Result<Trained> {
        let recipe = &self.recipe.denoiser;
        let tokenizer = self.tokenizer()?;
        let pool = self.pool(vae, &tokenizer, None)?;
        let schedule = NoiseSchedule::from_json(self.recipe.scheduler, "the recipe's scheduler/scheduler_config.json")?;
        let unet = UnetConfig::from_json(self.recipe.unet, "the recipe's unet/config.json")?;
        let text_encoder = self.text_encoder(&pool, &tokenizer)?.finish();
        let text = hexadecimal(&weights::digest(&text_encoder.1.tensors()?)?);
        let stage = DenoiserStage::new(recipe, &unet, text_encoder, schedule, self.seed, &RandomInit { seed: self.seed })?;
        let config = json!({"unet": self.recipe.unet, "scheduler": self.recipe.scheduler, "scale": pool.scale, "recipe": recipe, "text": text});
        self.train_denoiser(&self.identity("denoiser", "", config), &stage, &pool, vae, &tokenizer)?;
        Ok(Trained { stage, tokenizer, scale: pool.scale })
    }

    /// The third stage from a finished model on, trained in place; before it the second, on the large pictures, where the recipe says so. The autoencoder
    /// stays as it is. Writes the model into `model/` of the run's folder.
    pub fn refine(&self, base: &BaseModel) -> Result<PathBuf> {
        let recipe = &self.recipe.denoiser;
        let pool = self.pool(&base.vae, &base.tokenizer, Some(base.vae.config().scaling_factor))?;
        if self.recipe.refines_text {
            let outlines = Outlines::new(&pool.large, self.recipe.text.outline_cells)?;
            let stage = TextStage::of(&self.recipe.text, base, outlines.width(), self.seed)?;
            let identity = self.identity("text encoder of a finished model", &base.hash, json!({"recipe": self.recipe.text}));
            self.train_text(&identity, &stage, TextTask { stage: &stage, latents: &pool.large, outlines })?;
        }
        let stage = DenoiserStage::of(recipe, base, self.seed)?;
        let identity = self.identity("denoiser of a finished model", &base.hash, json!({ "recipe": recipe }));
        self.train_denoiser(&identity, &stage, &pool, &base.vae, &base.tokenizer)?;
        let folder = self.folder.join("model");
        base.save(&folder, DType::F16)?;
        Ok(folder)
    }

    fn train_denoiser(&self, identity: &Identity, stage: &DenoiserStage, pool: &Pool, vae: &AutoencoderKl, tokenizer: &ClipTokenizer) -> Result<()> {
        let recipe = &self.recipe.denoiser;
        let plan = self.plan("denoiser", recipe.steps, recipe.learning_rate, recipe.warm_up, recipe.finishing_steps);
        let folder = self.folder.join("denoiser");
        let mut task = DenoiserTask { stage, pool, vae, tokenizer, previews: previews(&folder)? };
        self.train(&folder, identity, &plan, &stage.trained(), recipe.average, &mut task)
    }

    fn text_encoder(&self, pool: &Pool, tokenizer: &ClipTokenizer) -> Result<TextStage> {
        let recipe = &self.recipe.text;
        let config = self.text_config(tokenizer.vocabulary_size())?;
        let outlines = Outlines::new(&pool.small, recipe.outline_cells)?;
        let stage = TextStage::new(recipe, &config, outlines.width(), self.seed, &RandomInit { seed: self.seed })?;
        let identity = self.identity("text encoder", "", json!({"text_encoder": self.recipe.text_encoder, "recipe": recipe, "scale": pool.scale}));
        self.train_text(&identity, &stage, TextTask { stage: &stage, latents: &pool.small, outlines })?;
        Ok(stage)
    }

    fn train_text(&self, identity: &Identity, stage: &TextStage, mut task: TextTask) -> Result<()> {
        let recipe = &self.recipe.text;
        let plan = self.plan("text encoder", recipe.steps, recipe.learning_rate, recipe.warm_up, recipe.finishing_steps);
        self.train(&self.folder.join("text"), identity, &plan, &[(stage.parameters(), 1.0)], recipe.average, &mut task)
    }

    /// Writes the finished model in the diffusers layout into `model/` of the run's folder.
    pub fn export(&self, autoencoder: &AutoencoderStage, trained: &Trained) -> Result<PathBuf> {
        let folder = self.folder.join("model");
        export::save(&folder, &self.recipe, autoencoder, trained)?;
        Ok(folder)
    }

    fn tokenizer(&self) -> Result<ClipTokenizer> {
        let words = pretraining::words();
        let (vocabulary, merges) = tokenizer::train(words.iter().map(String::as_str))?;
        ClipTokenizer::from_vocabulary(&vocabulary, &merges, self.text_config(1)?.max_position_embeddings)
    }

    fn text_config(&self, vocabulary: usize) -> Result<ClipTextConfig> {
        let config = export::with_fields(self.recipe.text_encoder, &[("vocab_size", json!(vocabulary))])?;
        ClipTextConfig::from_json(&config, "the recipe's text_encoder/config.json")
    }

    /// Draws and encodes the pictures of the second and third stage, or reads what an earlier start of the run has encoded. Without a `scale`, their latents
    /// are brought to a mean square of 1.
    fn pool(&self, vae: &AutoencoderKl, tokenizer: &ClipTokenizer, scale: Option<f64>) -> Result<Pool> {
        let recipe = &self.recipe.denoiser;
        let series = |count, size, framings| Series { seed: self.seed, first: recipe.first_picture, count, size, framings };
        let folder = self.folder.join("latents");
        let small =
            latents::load_or_encode(&folder.join("small"), series(recipe.small_pictures, recipe.crop, recipe.small_framings), vae, tokenizer)?;
        let large =
            latents::load_or_encode(&folder.join("large"), series(recipe.large_pictures, 2 * recipe.crop, recipe.large_framings), vae, tokenizer)?;
        let scale = scale.map_or_else(|| small.root_mean_square().map(f64::recip), Ok)?;
        Ok(Pool { small, large, empty: tokenizer.encode("")?, scale })
    }

    fn plan(&self, label: &str, steps: u64, rate: f64, warm_up: u64, decay: u64) -> Plan {
        let schedule = Schedule::HoldThenDecay { rate, warm_up, steps, decay };
        Plan { checkpoint_every: self.checkpoint_every, validate_every: self.preview_every, ..Plan::new(label, steps, schedule) }
    }

    /// What a stage's checkpoints belong to; `base_model` is the hash of the finished model that it began with, or empty. The numbers of steps are left
    /// out: they only say when the learning rate falls.
    fn identity(&self, stage: &str, base_model: &str, mut config: Value) -> Identity {
        if let Some(recipe) = config.get_mut("recipe").and_then(Value::as_object_mut) {
            recipe.remove("steps");
            recipe.remove("finishing_steps");
        }
        Identity { task: format!("pretraining, {stage}"), base_model: base_model.to_owned(), seed: self.seed, config }
    }

    /// Trains sets of parameters, each at its part of the plan's learning rate, and leaves the moving averages in them, frozen.
    fn train(&self, folder: &Path, identity: &Identity, plan: &Plan, sets: &[(ParameterSet, f64)], average: f64, task: &mut dyn Task) -> Result<()> {
        let parameters = sets.iter().fold(ParameterSet::default(), |all, (set, _)| all.join(set.clone()));
        let rates: HashMap<&str, f64> = sets.iter().flat_map(|(set, rate)| set.iter().map(|parameter| (parameter.name(), *rate))).collect();
        let group = |parameter: &Parameter| Group { learning_rate_factor: rates[parameter.name()], ..Group::default() };
        parameters.place(Placement::f32(self.device))?;
        let options = AdamWOptions { beta2: SQUARED_DECAY, clip_norm: Some(CLIP_NORM), ..AdamWOptions::default() };
        let optimiser = AdamW::grouped(&parameters, options, group)?;
        let average = Ema::new(&parameters, average)?;
        let mut state = State::new(parameters.clone(), optimiser, Some(average));
        fit(folder, identity, plan, &mut state, task)?;
        let averages: HashMap<String, Tensor> = state.ema.iter().flat_map(Ema::state).collect();
        for parameter in parameters.iter() {
            if let Some(value) = averages.get(&format!("average.{}", parameter.name())) {
                parameter.set(value.clone())?;
            }
            parameter.set_trainable(false);
        }
        Ok(())
    }
}

/// The second stage's result.
pub struct Trained {
    /// Text encoder, and UNet with the averages in it.
    pub stage: DenoiserStage,
    /// Made from the captions' words.
    pub tokenizer: ClipTokenizer,
    /// Scaling factor of the latents.
    pub scale: f64,
}

fn previews(folder: &Path) -> Result<PathBuf> {
    let folder = folder.join("previews");
    files::create_folder(&folder)?;
    Ok(folder)
}
