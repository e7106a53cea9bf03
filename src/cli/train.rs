//! `anodiff train`: learn the defect types of a data set.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::auto_batch::Division;
use super::flags::{Course, Selection};
use super::folders::outside_of_data;
use super::memory::{gigabytes, left, wanted};
use super::model_limits::ModelLimits;
use super::{Globals, numbers, output};
use crate::anomaly::inversion::split_rule;
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::presets::{ConditioningMode, Preset, PresetName};
use crate::anomaly::templates::Templates;
use crate::data::dataset::{Dataset, Split};
use crate::device::Device;
use crate::error::{Context, Result};
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::nn::Placement;
use crate::tensor::DType;
use crate::training::embeddings::{self, Growth, LEARNED, Options};
use crate::training::progress::note;
use crate::training::run_folder::RunFolder;
use crate::weights::Archive;

/// The command's flags.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Arguments {
    /// Data set in MVTec AD layout: <ROOT>/<object>/{train/good,test/<type>,ground_truth/<type>}
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Run folder, new or empty unless --resume is given
    #[arg(long, value_name = "RUN")]
    #[serde(skip)]
    out: PathBuf,
    /// Base model: a folder in the diffusers layout or a checkpoint in one .safetensors file [default: the embedded one]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<PathBuf>,
    /// Settings to start from: default, paper or official
    #[arg(long, default_value = "default", value_name = "PRESET")]
    preset: String,
    #[command(flatten)]
    #[serde(flatten)]
    selection: Selection,
    /// Optimisation steps [default: the preset's]
    #[arg(long, value_name = "N", value_parser = numbers::steps::<usize>, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    /// Learning rate of the embeddings; the encoder's follows in proportion [default: the preset's]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = numbers::learning_rate)]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    /// Side of the images in pixels [default: what the base model was made for]
    #[arg(long, value_name = "N", value_parser = numbers::side, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<usize>,
    /// Prompt templates, one a line with {} for the defect [default: the preset's]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    templates: Option<PathBuf>,
    /// How embeddings enter the denoising network: text (in a prompt) or direct [default: the preset's]
    #[arg(long, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    conditioning: Option<String>,
    /// ImageNet weights that the spatial encoder's ResNet-50 starts from: safetensors with torchvision's names [default: random]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder_weights: Option<PathBuf>,
    /// How many times a defect is magnified at most, 1 to 8, where it is learned, and later drawn; 1 for whole pictures [default: the preset's]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = numbers::close_up)]
    #[serde(skip_serializing_if = "Option::is_none")]
    close_up: Option<f64>,
    /// How many of a type's training pairs are told apart by a look of their own; defects are drawn with mixtures of looks; 0 for none [default: the preset's]
    #[arg(long, value_name = "N", value_parser = numbers::looks, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    looks: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    course: Course,
    /// Take the largest batches of at most --batch-size that fit into memory, and as many to a step as make the same step; a resumed run keeps its own
    #[arg(long)]
    #[serde(skip)]
    auto_batch: bool,
    /// Check everything, training pairs included, and say what would be done and how much memory it takes
    #[arg(long)]
    #[serde(skip)]
    dry_run: bool,
}

/// What the flags come to.
pub(super) struct Checked {
    preset: Preset,
    options: Options,
    templates: Templates,
    pub(super) dataset: Dataset,
    resolution: usize,
}

/// What a run is about, for `--dry-run`.
#[derive(Serialize)]
struct Outline {
    base_model: String,
    preset: PresetName,
    resolution: usize,
    types: Vec<String>,
    training_pairs: usize,
    steps: usize,
    examples_per_step: usize,
    trained_numbers: usize,
    /// Bytes that it will take, about; on a GPU those of tensors.
    memory: usize,
}

/// The result on stdout.
#[derive(Serialize)]
struct Outcome {
    learned: PathBuf,
    steps: u64,
    seconds: f64,
    loss: Option<f64>,
}

/// What config.toml holds: the flags that decide the run.
#[derive(Serialize)]
struct Resolved<'a> {
    seed: u64,
    train: &'a Arguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let fitted = if arguments.auto_batch { Some(arguments.fitted(globals)?) } else { None };
    let arguments = fitted.as_ref().unwrap_or(arguments);
    let checked = arguments.check()?;
    let placement = if arguments.dry_run { Placement::HOST } else { globals.placement()? };
    let base = BaseModel::load(arguments.model.as_deref(), placement)?;
    warn_of_few_pairs(&checked.dataset, checked.preset.name);
    let learned = checked.fresh(&base, globals.seed)?;
    let Checked { options, dataset, .. } = checked;
    if let Some(path) = &arguments.encoder_weights {
        learned.start_encoder_from(path)?;
    }
    if arguments.dry_run {
        return outline(&base, &learned, &dataset, options.accumulate, globals);
    }
    let folder = RunFolder::open(&arguments.out, arguments.course.resume, &Resolved { seed: globals.seed, train: arguments })?;
    let (_, summary) = embeddings::train(folder.path(), &base, learned, &dataset, &options)?;
    let learned = arguments.out.join(LEARNED);
    if globals.json {
        return output::json(&Outcome { learned, steps: summary.steps, seconds: summary.seconds, loss: summary.loss });
    }
    output::line(learned.display())
}

impl Checked {
    /// What is trained, as it is before the first step.
    fn fresh(&self, base: &BaseModel, seed: u64) -> Result<Learned> {
        let kinds = self.dataset.types().map(|(object, found)| Kind::new(&object.name, &found.name)).collect();
        Learned::create(base, self.preset.clone(), self.templates.clone(), kinds, self.resolution, seed)
    }
}

impl Arguments {
    /// With batches that fit into memory, for `--auto-batch`.
    fn fitted(&self, globals: &Globals) -> Result<Self> {
        let began = if self.course.resume { Division::recorded(&self.out)? } else { None };
        let division = match began {
            Some(division) => division,
            None => {
                let checked = self.check()?;
                let placement = globals.placement()?;
                let base = BaseModel::load(self.model.as_deref(), Placement::HOST)?;
                let growth = Growth::measure(&base, &checked.fresh(&base, globals.seed)?, &checked.dataset, placement.dtype)?;
                self.course.division(checked.preset.training.batch_size).fitting(&growth, placement)?
            }
        };
        Ok(Self { course: self.course.clone().divided(division), ..self.clone() })
    }

    /// Refuses what cannot work, as far as it shows before weights are read. Nothing is written.
    pub(super) fn check(&self) -> Result<Checked> {
        let preset = self.preset()?;
        let options = self.course.options();
        let templates = match &self.templates {
            Some(path) => Templates::load(path).context("--templates")?,
            None => Templates::built_in(preset.templates),
        };
        outside_of_data(&self.out, &self.data)?;
        let dataset = self.selection.scan(&self.data)?;
        if let Some(path) = &self.encoder_weights {
            Archive::open(path).context("--encoder-weights")?;
        }
        let resolution = ModelLimits::read(self.model.as_deref())?.resolution(self.resolution)?;
        Ok(Checked { preset, options, templates, dataset, resolution })
    }

    /// The preset with the flags' values in it.
    fn preset(&self) -> Result<Preset> {
        let mut preset = Preset::new(PresetName::parse(&self.preset)?);
        let training = &mut preset.training;
        training.steps = self.steps.unwrap_or(training.steps);
        training.batch_size = self.course.batch_size(training.batch_size);
        training.optimizer.learning_rate = self.learning_rate.unwrap_or(training.optimizer.learning_rate);
        preset.looks = self.looks.unwrap_or(preset.looks);
        preset.close_up = self.close_up.unwrap_or(preset.close_up);
        preset.conditioning = match self.conditioning.as_deref() {
            None => preset.conditioning,
            Some("text") => ConditioningMode::Text,
            Some("direct") => ConditioningMode::Direct,
            Some(other) => invalid_input!("--conditioning {other}: expected text or direct"),
        };
        preset.check()?;
        Ok(preset)
    }
}

fn warn_of_few_pairs(dataset: &Dataset, preset: PresetName) {
    for (object, found) in dataset.types() {
        let split = Split::new(found.pairs.len(), split_rule(preset));
        if split.is_short() {
            let count = split.train.len();
            note(&format!("{} {}: only {count} training pair(s) of {}; results will vary little", object.name, found.name, found.pairs.len()));
        }
    }
}

fn outline(base: &BaseModel, learned: &Learned, dataset: &Dataset, accumulate: usize, globals: &Globals) -> Result<()> {
    let on_cpu = matches!(Device::parse(&globals.device), Ok(Device::Cpu));
    let dtype = if on_cpu { DType::F32 } else { globals.dtype()? };
    let footprint = Growth::measure(base, learned, dataset, dtype)?.of_batch(learned.metadata.preset.training.batch_size, accumulate);
    let memory = wanted(&footprint, on_cpu);
    let metadata = &learned.metadata;
    let rule = split_rule(metadata.preset.name);
    let outline = Outline {
        base_model: metadata.base_model.clone(),
        preset: metadata.preset.name,
        resolution: metadata.resolution,
        types: metadata.kinds.iter().map(ToString::to_string).collect(),
        training_pairs: dataset.types().map(|(_, found)| found.training_pairs(rule).len()).sum(),
        steps: metadata.preset.training.steps,
        examples_per_step: metadata.preset.training.batch_size * accumulate,
        trained_numbers: learned.parameters().elements(),
        memory,
    };
    if on_cpu {
        warn_of_memory(memory)?;
    }
    if globals.json {
        return output::json(&outline);
    }
    output::line(format!(
        "would train {} type(s) ({}) from {} pair(s) at {}x{} pixels: {} steps of {} example(s), {} trained numbers, base model {}; \
         about {:.2} GB of memory in {dtype}: {:.2} for the model, {:.2} for what is trained, {:.2} for a batch of {}, {:.2} beside",
        outline.types.len(),
        outline.types.join(", "),
        outline.training_pairs,
        outline.resolution,
        outline.resolution,
        outline.steps,
        outline.examples_per_step,
        outline.trained_numbers,
        outline.base_model,
        gigabytes(outline.memory),
        gigabytes(footprint.model),
        gigabytes(footprint.trained),
        gigabytes(footprint.step),
        metadata.preset.training.batch_size,
        gigabytes(memory - footprint.total())
    ))
}

/// Says so where a training on the CPU would not fit.
fn warn_of_memory(memory: usize) -> Result<()> {
    if let Some(left) = left(Device::Cpu)?
        && memory > left
    {
        note(&format!(
            "about {:.1} GB of memory wanted, {:.1} GB are free; take a smaller --batch-size (--auto-batch finds one, and leaves the steps the same) or --resolution",
            gigabytes(memory),
            gigabytes(left)
        ));
    }
    Ok(())
}
