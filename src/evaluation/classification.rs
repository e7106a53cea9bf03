//! Training a ResNet-34 to tell an object's defect types apart, and asking it (METHOD section 9).

use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::localization::{Job, plan, state};
use super::sources::batch;
use super::test_set::TestSet;
use crate::anomaly::presets::{MOST_BATCH, MOST_STEPS};
use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, bail};
use crate::invalid_input;
use crate::models::resnet::{FreshResNet, PretrainedBackbone, ResNetClassifier, ResNetConfig};
use crate::nn::Placement;
use crate::ops;
use crate::tensor::Tensor;
use crate::tensor::random::Sampler;
use crate::training::checkpoint::Identity;
use crate::training::fit::{Loss, Task, fit};
use crate::training::signals;

/// The most channels of the first stage of an inspection network, classifier or U-Net; published ones have 64.
pub const MOST_WIDTH: usize = 512;

/// Sizes and length of a training; pictures and batches are the U-Net's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Channels of the first stage; 64 in ResNet-34.
    pub width: usize,
    /// Optimiser steps.
    pub steps: u64,
    /// Pictures of a step.
    pub batch: usize,
    /// Adam's rate, falling as the U-Net's.
    pub learning_rate: f64,
}

impl Settings {
    /// Refuses what cannot be trained.
    pub fn check(&self) -> Result<()> {
        if !(1..=MOST_WIDTH).contains(&self.width) || !(1..=MOST_STEPS as u64).contains(&self.steps) || !(1..=MOST_BATCH).contains(&self.batch) {
            let Self { width, steps, batch, .. } = self;
            invalid_input!(
                "a classifier of width {width}, {steps} steps of {batch} pictures: expected a width of 1 to {MOST_WIDTH}, 1 to {MOST_STEPS} \
                 steps, 1 to {MOST_BATCH} pictures"
            );
        }
        Ok(())
    }

    fn config(&self) -> ResNetConfig {
        ResNetConfig { width: self.width, ..ResNetConfig::resnet34() }
    }

    /// Reads ImageNet weights for a classifier of this width to the device where it will be trained.
    ///
    /// # Errors
    /// When the file does not fit (exit code 2).
    pub fn backbone(&self, path: &Path, device: Device) -> Result<PretrainedBackbone> {
        PretrainedBackbone::load(path, &self.config(), Placement::f32(device))
    }
}

/// Trains from fresh weights, or those of `backbone`, in `folder` (going on from its checkpoint) and answers for each test picture with a defect, in order. `None` where there is
/// nothing to tell apart: a source without types, or an object with one type.
///
/// # Errors
/// As [`fit`].
pub fn train_and_answer(
    folder: &Path,
    identity: &Identity,
    settings: &Settings,
    backbone: Option<&PretrainedBackbone>,
    job: Job,
    test: &TestSet,
) -> Result<Option<Vec<usize>>> {
    settings.check()?;
    if !job.source.has_types() || test.types.len() < 2 {
        return Ok(None);
    }
    let source = FreshResNet { seed: job.seed };
    let root = crate::nn::Path::root(&source);
    let model = ResNetClassifier::new(&root, &settings.config(), test.types.len())?;
    let parameters = root.parameters();
    parameters.place(Placement::f32(job.device))?;
    if let Some(backbone) = backbone {
        backbone.copy_into(&parameters, "")?;
    }
    let mut state = state(&parameters)?;
    let mut task = Classification { model: &model, job, batch: settings.batch };
    fit(folder, identity, &plan(format!("ResNet {}", job.label), settings.steps, settings.learning_rate), &mut state, &mut task)?;
    parameters.set_trainable(false);
    Ok(Some(answers(&model, test)?))
}

struct Classification<'a> {
    model: &'a ResNetClassifier,
    job: Job<'a>,
    batch: usize,
}

impl Task for Classification<'_> {
    fn loss(&mut self, step: u64, part: usize) -> Result<Loss> {
        let draw = |position: usize| {
            let mut sampler = Sampler::new(self.job.seed, &format!("classification {}", self.job.source.name()), &[step, position as u64]);
            self.job.material.defect(self.job.source, &mut sampler)
        };
        let positions = part * self.batch..(part + 1) * self.batch;
        let drawn = positions.into_par_iter().map(draw).collect::<Result<Vec<_>>>()?;
        let labels: Vec<i32> = drawn.iter().filter_map(|(_, kind)| kind.map(|kind| kind as i32)).collect();
        let (pictures, _) = batch(&drawn.iter().map(|(specimen, _)| specimen).collect::<Vec<_>>())?;
        let logits = self.model.forward(&Var::constant(pictures), true)?;
        Ok(ops::softmax_cross_entropy(&logits, &Tensor::from_i32(labels, &[self.batch])?)?.into())
    }
}

/// The most probable type of each picture with a defect; the first of equals.
fn answers(model: &ResNetClassifier, test: &TestSet) -> Result<Vec<usize>> {
    let mut answers = Vec::new();
    for picture in test.pictures.iter().filter(|picture| picture.kind.is_some()) {
        signals::check()?;
        let logits = model.forward(&Var::constant(batch(&[&picture.specimen])?.0), false)?;
        let logits = logits.to_f32_vec()?;
        let Some(best) = (0..logits.len()).reduce(|best, next| if logits[next] > logits[best] { next } else { best }) else {
            bail!("a classifier without classes")
        };
        answers.push(best);
    }
    Ok(answers)
}
