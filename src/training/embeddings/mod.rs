//! The main job's training: all anomaly embeddings and the spatial encoder in one run (METHOD section 5).

mod footprint;
mod validation;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::anomaly::inversion::{Examples, Inversion};
use crate::anomaly::learned::Learned;
use crate::anomaly::presets::Optimizer;
use crate::data::dataset::Dataset;
use crate::error::{Context, Result};
use crate::models::base::BaseModel;
use crate::tensor::DType;
use crate::training::adamw::{AbsentGradient, AdamW, AdamWOptions, Group};
use crate::training::checkpoint::Identity;
use crate::training::fit::{Loss, Plan, Summary, Task, fit};
use crate::training::recorder::Recorder;
use crate::training::schedule::Schedule;
use crate::training::state::State;
use validation::Validation;

pub use footprint::{Footprint, Growth};
pub(in crate::training) use validation::{record_fixed_noise, stitched};

/// The final file of a run.
pub const LEARNED: &str = "learned.safetensors";

/// How a run is done, beside what is learned: nothing here changes the numbers of a step.
#[derive(Clone, Debug)]
pub struct Options {
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// Steps between checkpoints; 0 for the end only.
    pub checkpoint_every: u64,
    /// Steps between validation pictures; 0 for none.
    pub validate_every: u64,
}

/// Trains what `learned` holds on the data set's training pairs, in the run folder `folder`, and leaves [`LEARNED`] there.
///
/// # Errors
/// As [`fit`]; unreadable or empty data (exit code 2).
pub fn train(folder: &Path, base: &BaseModel, mut learned: Learned, dataset: &Dataset, options: &Options) -> Result<(Learned, Summary)> {
    let preset = learned.metadata.preset.training.clone();
    let examples = Examples::load(dataset, &learned.metadata)?;
    let identity = identity(base, &learned, options)?;
    let mut plan = Plan::new("train", preset.steps as u64, schedule(&preset.optimizer, preset.steps as u64));
    (plan.accumulate, plan.checkpoint_every, plan.validate_every) = (options.accumulate, options.checkpoint_every, options.validate_every);
    let summary = {
        let inversion = Inversion::new(base, &learned)?;
        inversion.measure_batch_norm(&examples)?;
        let optimiser = optimiser(&learned, &preset.optimizer)?;
        let mut state = State::new(learned.parameters().clone(), optimiser, None);
        let validation = Validation::new(folder, base, &learned, dataset, &examples)?;
        let mut task = Embeddings { base, inversion, examples: &examples, batch: preset.batch_size, validation };
        fit(folder, &identity, &plan, &mut state, &mut task)?
    };
    learned.parameters().set_trainable(false);
    learned.metadata.steps = summary.steps;
    learned.save(&folder.join(LEARNED))?;
    Ok((learned, summary))
}

/// The masked loss, part by part.
struct Embeddings<'a> {
    base: &'a BaseModel,
    inversion: Inversion<'a>,
    examples: &'a Examples,
    batch: usize,
    validation: Validation<'a>,
}

impl Task for Embeddings<'_> {
    fn loss(&mut self, step: u64, part: usize) -> Result<Loss> {
        let first = (part * self.batch) as u64;
        let examples = self.examples.draw("train", step, first, self.batch);
        Ok(self.inversion.loss("train", step, first, &examples)?.into())
    }

    fn validate(&mut self, step: u64, recorder: &mut Recorder) -> Result<()> {
        self.validation.look(step, &self.inversion, recorder)
    }

    fn damaged_weight(&self) -> Result<Option<String>> {
        self.base.damaged_weight()
    }
}

/// What a checkpoint must agree with: everything that the numbers of a step depend on.
fn identity(base: &BaseModel, learned: &Learned, options: &Options) -> Result<Identity> {
    let metadata = &learned.metadata;
    let mut config = serde_json::json!({
        "preset": serde_json::to_value(&metadata.preset).context("the preset as JSON")?,
        "templates": metadata.templates.sentences(),
        "encoder": serde_json::to_value(&metadata.encoder).context("the encoder's sizes as JSON")?,
        "types": metadata.kinds.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "resolution": metadata.resolution,
        "accumulate": options.accumulate,
    });
    let dtype = base.unet.placement().dtype;
    if dtype != DType::F32 {
        config["dtype"] = dtype.to_string().into();
    }
    Ok(Identity { task: "anomaly embeddings".into(), base_model: metadata.base_model.clone(), seed: metadata.seed, config })
}

/// The learning rate over a run.
pub(in crate::training) fn schedule(optimizer: &Optimizer, steps: u64) -> Schedule {
    let rate = optimizer.learning_rate;
    if optimizer.cosine || optimizer.warmup_steps > 0 {
        let last = if optimizer.cosine { rate / 10.0 } else { rate };
        Schedule::WarmUpCosine { rate, warm_up: optimizer.warmup_steps as u64, steps, last }
    } else {
        Schedule::Constant { rate }
    }
}

/// The numbers of AdamW.
pub(in crate::training) fn options_of(optimizer: &Optimizer) -> AdamWOptions {
    AdamWOptions {
        beta1: optimizer.beta1,
        beta2: optimizer.beta2,
        epsilon: optimizer.epsilon,
        weight_decay: optimizer.weight_decay,
        decoupled: true,
        clip_norm: optimizer.clip_norm,
        absent: if optimizer.absent_types_move { AbsentGradient::Zero } else { AbsentGradient::Skip },
    }
}

/// AdamW with the encoder's own rate; embeddings and looks are never decayed, because the text encoder gives meaning to their length.
fn optimiser(learned: &Learned, optimizer: &Optimizer) -> Result<AdamW> {
    AdamW::grouped(learned.parameters(), options_of(optimizer), |parameter| {
        if parameter.name().starts_with("spatial.") {
            Group { learning_rate_factor: optimizer.encoder_factor, weight_decay: None }
        } else {
            Group { learning_rate_factor: 1.0, weight_decay: Some(0.0) }
        }
    })
}
