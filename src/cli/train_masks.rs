//! `anodiff train-masks`: learn what the masks of each defect type look like.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::flags::{Course, Selection};
use super::folders::outside_of_data;
use super::model_limits::ModelLimits;
use super::{Globals, numbers, output};
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::learned_masks::{LEARNED_MASKS, LearnedMasks};
use crate::anomaly::presets::{MaskPreset, PresetName};
use crate::data::dataset::Dataset;
use crate::error::Result;
use crate::models::base::BaseModel;
use crate::nn::Placement;
use crate::training::embeddings::{LEARNED, Options};
use crate::training::masks;
use crate::training::run_folder::RunFolder;

/// The folder of this training in the folder of a run.
const STAGE: &str = "masks";

/// The command's flags.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Arguments {
    /// Data set in MVTec AD layout; only its masks are looked at
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Run folder, that of `anodiff train` or another; everything goes into its folder masks/
    #[arg(long, value_name = "RUN")]
    #[serde(skip)]
    out: PathBuf,
    /// Base model: a folder in the diffusers layout or a checkpoint in one .safetensors file [default: the embedded one]
    #[arg(long, value_name = "MODEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<PathBuf>,
    /// Settings to start from: default, paper or official
    #[arg(long, default_value = "default", value_name = "PRESET")]
    preset: String,
    #[command(flatten)]
    #[serde(flatten)]
    selection: Selection,
    /// Optimisation steps of the whole run [default: the preset's for each type]
    #[arg(long, value_name = "N", value_parser = numbers::steps::<usize>, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    /// Learning rate [default: the preset's]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = numbers::learning_rate)]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    /// Side of the masks in pixels [default: that of the run's learned file, or what the base model was made for]
    #[arg(long, value_name = "N", value_parser = numbers::side, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    course: Course,
}

/// What the flags come to.
pub(super) struct Checked {
    preset: MaskPreset,
    options: Options,
    pub(super) dataset: Dataset,
    kinds: Vec<Kind>,
    /// Where no learned file says it.
    resolution: usize,
}

/// The result on stdout.
#[derive(Serialize)]
struct Outcome {
    learned_masks: PathBuf,
    types: usize,
    steps: u64,
    seconds: f64,
    loss: Option<f64>,
}

/// What config.toml holds.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Resolved<'a> {
    seed: u64,
    train_masks: &'a Arguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let Checked { preset, options, dataset, kinds, resolution } = arguments.check()?;
    let placement = globals.placement()?;
    let base = BaseModel::load(arguments.model.as_deref(), placement)?;
    let beside = arguments.out.join(LEARNED);
    let side = match arguments.resolution {
        None if beside.is_file() => Learned::load(&beside, &base)?.metadata.resolution,
        _ => resolution,
    };
    let types = kinds.len();
    let learned = LearnedMasks::create(&base, preset, kinds, side, globals.seed)?;
    learned.parameters().place(Placement::f32(placement.device))?;
    let folder = RunFolder::open(&arguments.out.join(STAGE), arguments.course.resume, &Resolved { seed: globals.seed, train_masks: arguments })?;
    let (_, summary) = masks::train(folder.path(), &base, learned, &dataset, &options)?;
    let learned_masks = mask_file(&arguments.out);
    if globals.json {
        return output::json(&Outcome { learned_masks, types, steps: summary.steps, seconds: summary.seconds, loss: summary.loss });
    }
    output::line(learned_masks.display())
}

impl Arguments {
    /// Refuses what cannot work, as far as it shows before weights are read. Nothing is written.
    pub(super) fn check(&self) -> Result<Checked> {
        let options = self.course.options();
        outside_of_data(&self.out, &self.data)?;
        // Before the data set, on whose types the rest of the preset depends.
        PresetName::parse(&self.preset)?;
        let dataset = self.selection.scan(&self.data)?;
        let kinds: Vec<Kind> = dataset.types().map(|(object, found)| Kind::new(&object.name, &found.name)).collect();
        let preset = self.preset(kinds.len())?;
        let resolution = ModelLimits::read(self.model.as_deref())?.resolution(self.resolution)?;
        Ok(Checked { preset, options, dataset, kinds, resolution })
    }

    /// The preset with the flags' values in it.
    fn preset(&self, types: usize) -> Result<MaskPreset> {
        let mut preset = MaskPreset::new(PresetName::parse(&self.preset)?, types);
        preset.steps = self.steps.unwrap_or(preset.steps);
        preset.batch_size = self.course.batch_size(preset.batch_size);
        preset.optimizer.learning_rate = self.learning_rate.unwrap_or(preset.optimizer.learning_rate);
        preset.check()?;
        Ok(preset)
    }
}

/// The file of learned masks that belongs to a run folder, to its learned file, or that is named itself.
pub(super) fn mask_file(run: &Path) -> PathBuf {
    let of = |folder: &Path| folder.join(STAGE).join(LEARNED_MASKS);
    match run.file_name().and_then(|name| name.to_str()) {
        Some(LEARNED) => of(run.parent().unwrap_or(Path::new(""))),
        _ if run.is_file() => run.to_owned(),
        _ => of(run),
    }
}
