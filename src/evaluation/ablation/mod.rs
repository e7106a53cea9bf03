//! The paper's Table 4: the method with parts of it switched off, each variant trained, generated and judged by the localisation network.
//!
//! ```text
//! <out>/trained/<spatial>-<loss>/          a run; variants that differ in re-weighting alone share it
//! <out>/generated/<variant>/               its pairs
//! <out>/evaluation/<variant>/generated/…   its trainings of the localisation network
//! <out>/alignment/<variant>/…              mask alignment of its pairs
//! ```
//!
//! Each part goes on where it was when the same command is given again.

pub mod table;
#[cfg(test)]
mod tests;
mod variant;

use std::path::{Path, PathBuf};

use super::experiment::{self, Outcome};
use super::quality::{self, Judges};
use super::sources::Source;
use crate::anomaly::inversion::split_rule;
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::mask_source::MaskSource;
use crate::anomaly::presets::Preset;
use crate::anomaly::production::{Observer, Order, produce};
use crate::anomaly::shard::Shard;
use crate::anomaly::templates::Templates;
use crate::data::dataset::Dataset;
use crate::error::Result;
use crate::files;
use crate::models::base::BaseModel;
use crate::training::embeddings::{self, Options};
use crate::training::progress::note;
use crate::training::signals;

pub use variant::{VARIANTS, Variant};

/// Steps between two checkpoints of a training.
const CHECKPOINT_EVERY: u64 = 200;

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which variants.
    pub variants: Vec<Variant>,
    /// The whole method's settings, switched by each variant.
    pub preset: Preset,
    /// Side of the pictures that are learned from and generated.
    pub resolution: usize,
    /// Pairs of each type.
    pub count: u64,
    /// Where masks come from.
    pub masks: MaskSource,
    /// Images computed together.
    pub batch_size: usize,
    /// Seed of training and generation.
    pub seed: u64,
    /// The localisation network's training, with the generated pairs as its only source.
    pub experiment: experiment::Plan,
}

/// What a variant measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which.
    pub variant: Variant,
    /// Trainings of the localisation network, by object and seed.
    pub outcomes: Vec<Outcome>,
    /// Alignment and background, by type.
    pub quality: Vec<quality::Outcome>,
}

/// Makes an observer of a type's generation, for its progress.
pub type Watch<'a> = dyn FnMut(&Kind) -> Box<dyn Observer + 'a> + 'a;

/// Runs every variant.
///
/// # Errors
/// As training, generation and [`experiment::run`]; [`crate::error::Interrupted`] after a signal, with the state saved.
pub fn run(base: &BaseModel, dataset: &Dataset, plan: &Plan, out: &Path, watch: &mut Watch<'_>) -> Result<Vec<Measured>> {
    plan.preset.check()?;
    signals::install()?;
    let mut measured = Vec::with_capacity(plan.variants.len());
    for (number, &variant) in plan.variants.iter().enumerate() {
        note(&format!("{} of {}: {}", number + 1, plan.variants.len(), variant.description()));
        let learned = train(base, dataset, plan, variant, out)?;
        let generated = generate(base, dataset, plan, (variant, &learned), out, watch)?;
        let set = Dataset::scan(&generated)?;
        let outcomes = experiment::run(dataset, Some(&set), &plan.experiment, &out.join("evaluation").join(variant.name))?;
        let judging = quality::Plan { judges: Judges::default(), side: plan.resolution, split: split_rule(plan.preset.name) };
        let quality = quality::measure(dataset, &set, &judging, &out.join("alignment").join(variant.name))?;
        measured.push(Measured { variant, outcomes, quality });
    }
    Ok(measured)
}

/// The sources of [`Plan::experiment`].
pub fn sources() -> Vec<Source> {
    vec![Source::Generated]
}

/// The run that a variant shares with those that differ in re-weighting alone.
fn train(base: &BaseModel, dataset: &Dataset, plan: &Plan, variant: Variant, out: &Path) -> Result<Learned> {
    let preset = variant.training(&plan.preset);
    let templates = Templates::built_in(preset.templates);
    let kinds: Vec<Kind> = dataset.types().map(|(object, found)| Kind::new(&object.name, &found.name)).collect();
    let learned = Learned::create(base, preset, templates, kinds, plan.resolution, plan.seed)?;
    let folder = out.join("trained").join(variant.run());
    files::create_folder(&folder)?;
    let options = Options { accumulate: 1, checkpoint_every: CHECKPOINT_EVERY, validate_every: 0 };
    Ok(embeddings::train(&folder, base, learned, dataset, &options)?.0)
}

/// The variant's pairs of every type; gives their folder.
fn generate(
    base: &BaseModel,
    dataset: &Dataset,
    plan: &Plan,
    (variant, learned): (Variant, &Learned),
    out: &Path,
    watch: &mut Watch<'_>,
) -> Result<PathBuf> {
    let folder = out.join("generated").join(variant.name);
    files::create_folder(&folder)?;
    for kind in &learned.metadata.kinds {
        let order = Order {
            base,
            learned,
            dataset,
            kind: kind.clone(),
            settings: variant.generation(&plan.preset),
            masks: plan.masks.clone(),
            count: plan.count,
            batch_size: plan.batch_size,
            seed: plan.seed,
            out: &folder,
            shard: Shard::WHOLE,
        };
        produce(&order, &mut *watch(kind))?;
    }
    Ok(folder)
}
