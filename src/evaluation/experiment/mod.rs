//! The downstream experiment: networks trained on each source of defects, for each object and seed, and tested on the data set's test part.
//!
//! ```text
//! <out>/<source>/seed-<n>/<object>/result.json      when it is done; its checkpoint is gone then
//! <out>/<source>/seed-<n>/<object>/evidence.json    curves, and the best and worst pictures, for the report
//! <out>/<source>/seed-<n>/<object>/localizer/       log, and a checkpoint while it is trained
//! ```

pub mod evidence;
pub mod table;
#[cfg(test)]
mod tests;
mod unit;

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::classification;
use super::localization::Settings;
use super::scores::ObjectScores;
use super::sources::{Amounts, Material, Source};
use super::test_set::TestSet;
use crate::data::dataset::{Dataset, Object, SplitRule};
use crate::device::Device;
use crate::error::Result;
use crate::invalid_input;
use crate::models::resnet::PretrainedBackbone;
use crate::training::checkpoint::Identity;
use crate::training::progress::{duration, note};
use unit::Unit;

/// What is trained and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Sources, each trained and tested alike.
    pub sources: Vec<Source>,
    /// Seeds, each a training of its own.
    pub seeds: Vec<u64>,
    /// The localisation U-Net.
    pub localizer: Settings,
    /// The classifier, where it is wanted.
    pub classifier: Option<classification::Settings>,
    /// What the classifier's ResNet starts from; random values where absent.
    pub classifier_weights: Option<PretrainedBackbone>,
    /// Which real pairs are for training and which for testing.
    pub split: SplitRule,
    /// The most generated pairs of a type.
    pub pairs_per_type: usize,
    /// Keep the U-Nets' weights, in safetensors with DRAEM's names.
    pub keep_models: bool,
    /// Where the networks are trained and asked. No part of a result's identity: devices differ by rounding.
    pub device: Device,
}

impl Plan {
    /// Refuses what cannot be trained.
    pub fn check(&self, generated: Option<&Dataset>) -> Result<()> {
        self.localizer.check()?;
        self.classifier.as_ref().map_or(Ok(()), classification::Settings::check)?;
        if self.sources.is_empty() || self.seeds.is_empty() || self.pairs_per_type == 0 {
            invalid_input!("expected at least one source, one seed and one pair a type");
        }
        if let Some(source) = self.sources.iter().find(|source| source.needs_generated() && generated.is_none()) {
            invalid_input!("the source {} needs --generated DIR, the folder that `anodiff generate --out` filled", source.name());
        }
        Ok(())
    }
}

/// One training with its test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Everything that decides the numbers.
    pub identity: Identity,
    /// The source's name.
    pub source: String,
    /// The object's name.
    pub object: String,
    /// The seed.
    pub seed: u64,
    /// What was measured.
    pub scores: ObjectScores,
}

/// Trains and tests what `out` does not hold yet; gives all outcomes, by object, source and seed.
///
/// # Errors
/// Wrong settings or data, results of other settings in `out` (exit code 2); [`crate::error::Interrupted`] after a signal, with the state saved.
pub fn run(dataset: &Dataset, generated: Option<&Dataset>, plan: &Plan, out: &Path) -> Result<Vec<Outcome>> {
    plan.check(generated)?;
    let total = dataset.objects.len() * plan.sources.len() * plan.seeds.len();
    let (mut outcomes, mut trained, start) = (Vec::with_capacity(total), 0, Instant::now());
    for object in &dataset.objects {
        let bench = Bench::load(object, generated, plan)?;
        bench.warn();
        for (&source, &seed) in plan.sources.iter().flat_map(|source| plan.seeds.iter().map(move |seed| (source, seed))) {
            let unit = Unit::new(&bench, source, seed, out)?;
            let outcome = match unit.finished()? {
                Some(outcome) => outcome,
                None => {
                    let left = if trained > 0 { time_left(start, trained, total - outcomes.len()) } else { String::new() };
                    note(&format!("{} of {total}: {}{left}", outcomes.len() + 1, unit.label()));
                    trained += 1;
                    unit.run()?
                }
            };
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

/// From the mean of what was trained so far.
fn time_left(start: Instant, trained: usize, left: usize) -> String {
    format!(", about {} left", duration(start.elapsed().as_secs_f64() / trained as f64 * left as f64))
}

/// An object with everything that its trainings share.
struct Bench<'a> {
    object: &'a Object,
    plan: &'a Plan,
    material: Material,
    test: TestSet,
}

impl<'a> Bench<'a> {
    fn load(object: &'a Object, generated: Option<&Dataset>, plan: &'a Plan) -> Result<Self> {
        let side = plan.localizer.resolution;
        let amounts = Amounts { side, pairs_per_type: plan.pairs_per_type, split: plan.split };
        let made = generated.and_then(|set| set.objects.iter().find(|other| other.name == object.name));
        let material = Material::load(object, made, &plan.sources, amounts)?;
        Ok(Self { object, plan, material, test: TestSet::load(object, plan.split, side)? })
    }

    /// Says what will leave numbers without a value or make them poor.
    fn warn(&self) {
        let name = &self.object.name;
        if self.object.test_normals.is_empty() {
            note(&format!("{name}: no normal test picture (test/good): image AUROC has no value, and pixel numbers see defect pictures only"));
        }
        if self.test.pictures.iter().all(|picture| picture.kind.is_none()) {
            note(&format!("{name}: no pair is left for testing, so there is nothing to find"));
        }
        let types = self.material.types(Source::Generated);
        if self.plan.sources.iter().any(|source| source.needs_generated()) && types.len() < self.object.types.len() {
            let missing = self.object.types.iter().enumerate().filter(|(kind, _)| !types.contains(kind)).map(|(_, found)| found.name.as_str());
            note(&format!("{name}: nothing was generated of {}", missing.collect::<Vec<_>>().join(", ")));
        }
    }
}
