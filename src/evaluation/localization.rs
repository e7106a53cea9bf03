//! Training the localisation U-Net of one object on a source of defects, and asking it (METHOD section 9).

use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::scores::{Prediction, image_score};
use super::sources::{Material, Source, Specimen, batch};
use super::test_set::TestSet;
use crate::anomaly::presets::{MOST_BATCH, MOST_STEPS};
use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, bail};
use crate::invalid_input;
use crate::models::localizer::{FreshLocalizer, Localizer, LocalizerConfig, SIDE_MULTIPLE};
use crate::nn::{ParameterSet, Placement};
use crate::ops;
use crate::tensor::random::Sampler;
use crate::training::adamw::{AdamW, AdamWOptions};
use crate::training::checkpoint::Identity;
use crate::training::fit::{Loss, Plan, Task, fit};
use crate::training::schedule::Schedule;
use crate::training::signals;
use crate::training::state::State;

/// Sizes and length of a training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Channels of the first stage; 64 in the paper.
    pub width: usize,
    /// Side of the pictures in pixels; 256 in the paper.
    pub resolution: usize,
    /// Optimiser steps.
    pub steps: u64,
    /// Pictures of a step.
    pub batch: usize,
    /// Adam's rate of the first 80 % of steps; a fifth of it follows, and a fifth of that in the last 10 %.
    pub learning_rate: f64,
}

impl Settings {
    /// Refuses what cannot be trained.
    pub fn check(&self) -> Result<()> {
        LocalizerConfig { width: self.width }.check()?;
        if self.resolution == 0 || !self.resolution.is_multiple_of(SIDE_MULTIPLE) || self.resolution > 2048 {
            invalid_input!("--resolution {}: expected a multiple of {SIDE_MULTIPLE} up to 2048", self.resolution);
        }
        if !(1..=MOST_STEPS as u64).contains(&self.steps) {
            invalid_input!("--steps {}: expected 1 to {MOST_STEPS}", self.steps);
        }
        if !(1..=MOST_BATCH).contains(&self.batch) {
            invalid_input!("--batch-size {}: expected 1 to {MOST_BATCH}", self.batch);
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            invalid_input!("--learning-rate {}: expected a finite number above 0", self.learning_rate);
        }
        Ok(())
    }
}

/// Adam without decay, as the released program trains both networks, with its two falls of the rate.
pub(super) fn plan(label: String, steps: u64, rate: f64) -> Plan {
    let schedule = Schedule::TwoFalls { rate, factor: 0.2, at: [steps * 8 / 10, steps * 9 / 10] };
    Plan { checkpoint_every: 200, ..Plan::new(label, steps, schedule) }
}

/// See [`plan`]. The parameters have to be where they shall be trained.
pub(super) fn state(parameters: &ParameterSet) -> Result<State> {
    parameters.set_trainable(true);
    let optimiser = AdamW::new(parameters, AdamWOptions { weight_decay: 0.0, ..AdamWOptions::default() })?;
    Ok(State::new(parameters.clone(), optimiser, None))
}

/// What a training is about.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What the progress line calls it.
    pub label: &'a str,
    /// What pictures are drawn from.
    pub material: &'a Material,
    /// How.
    pub source: Source,
    /// Seed of initial values and draws.
    pub seed: u64,
    /// Where the network is trained and asked; in f32.
    pub device: Device,
}

/// A trained network and its parameters.
pub struct Trained {
    /// The network.
    pub model: Localizer,
    /// Everything that a checkpoint of it holds, frozen.
    pub parameters: ParameterSet,
}

/// Trains from fresh weights in `folder`, going on from its checkpoint where there is one. The last step's network is taken.
///
/// # Errors
/// As [`fit`].
pub fn train(folder: &Path, identity: &Identity, settings: &Settings, job: Job) -> Result<Trained> {
    settings.check()?;
    let source = FreshLocalizer { seed: job.seed };
    let root = crate::nn::Path::root(&source);
    let model = Localizer::new(&root, &LocalizerConfig { width: settings.width })?;
    let parameters = root.parameters();
    parameters.place(Placement::f32(job.device))?;
    let mut state = state(&parameters)?;
    let mut task = Localization { model: &model, job, batch: settings.batch };
    fit(folder, identity, &plan(format!("U-Net {}", job.label), settings.steps, settings.learning_rate), &mut state, &mut task)?;
    parameters.set_trainable(false);
    Ok(Trained { model, parameters })
}

struct Localization<'a> {
    model: &'a Localizer,
    job: Job<'a>,
    batch: usize,
}

impl Localization<'_> {
    /// Half of the pictures are normal. Each is a function of (seed, source, step, position) alone.
    fn draw(&self, step: u64, position: usize) -> Result<Specimen> {
        let mut sampler = Sampler::new(self.job.seed, &format!("localisation {}", self.job.source.name()), &[step, position as u64]);
        if sampler.chance(0.5) {
            return Ok(self.job.material.normal(&mut sampler).clone());
        }
        Ok(self.job.material.defect(self.job.source, &mut sampler)?.0)
    }
}

impl Task for Localization<'_> {
    fn loss(&mut self, step: u64, part: usize) -> Result<Loss> {
        let positions = part * self.batch..(part + 1) * self.batch;
        let drawn = positions.into_par_iter().map(|position| self.draw(step, position)).collect::<Result<Vec<_>>>()?;
        let (pictures, masks) = batch(&drawn.iter().collect::<Vec<_>>())?;
        let logits = self.model.forward(&Var::constant(pictures), true)?;
        Ok(ops::focal_loss(&logits, &masks.to_device(self.job.device)?)?.into())
    }
}

/// What the network says of each test picture.
///
/// # Errors
/// [`crate::error::Interrupted`] after a signal.
pub fn predict(model: &Localizer, test: &TestSet) -> Result<Vec<Prediction>> {
    let mut predictions = Vec::with_capacity(test.pictures.len());
    for picture in &test.pictures {
        signals::check()?;
        let (pixels, _) = batch(&[&picture.specimen])?;
        let probabilities = ops::softmax(&model.forward(&Var::constant(pixels), false)?)?;
        let pixels: Vec<f32> = probabilities.to_f32_vec()?.into_iter().skip(1).step_by(2).collect();
        if pixels.iter().any(|x| !x.is_finite()) {
            bail!("the localisation network gave a score that is not finite");
        }
        let image = image_score(&pixels, picture.specimen.mask().width());
        predictions.push(Prediction { pixels, image });
    }
    Ok(predictions)
}
