//! `anodiff ablate`: what each part of the method contributes.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::flags::{IMAGES_TOGETHER, Localizer};
use super::folders::outside_of_data;
use super::generate::Watch;
use super::model_limits::ModelLimits;
use super::{Globals, numbers, output};
use crate::anomaly::generated_set::check_amounts;
use crate::anomaly::inversion::split_rule;
use crate::anomaly::learned::Kind;
use crate::anomaly::mask_source::MaskSource;
use crate::anomaly::places::Places;
use crate::anomaly::presets::{BatchNormPolicy, GROUP, Preset, PresetName};
use crate::anomaly::production::Observer;
use crate::data::dataset::Dataset;
use crate::device::Device;
use crate::error::Result;
use crate::evaluation::ablation::{self, Plan, VARIANTS, table};
use crate::evaluation::experiment;
use crate::models::base::BaseModel;
use crate::training::progress::note;
use crate::training::run_folder::RunFolder;
use crate::{files, invalid_input};

/// `anodiff ablate`: on what, and how long.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(
    after_help = "The rows of the paper's table 4: none of the three parts; the spatial embedding (SAE); SAE and masked loss (ML); ML and attention\n\
    re-weighting (AAR); all. Settings, data and masks are checked before the first training. On the demo's data and a CPU, about an hour on two cores:\n\
    anodiff ablate --data anodiff-demo/data --out ablation --train-steps 600 --count 16 --resolution 128 --width 8 --steps 300 --learning-rate 0.001"
)]
pub struct Arguments {
    /// Data set in MVTec AD layout
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Folder for ablation.csv, ablation.json and everything on the way; the same command again goes on
    #[arg(long, value_name = "OUT")]
    #[serde(skip)]
    out: PathBuf,
    /// Objects, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<String>>,
    /// Base model: a folder in the diffusers layout [default: the embedded one]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<PathBuf>,
    /// The whole method's settings: default, paper or official
    #[arg(long, default_value = "default", value_name = "PRESET")]
    preset: String,
    /// All eight combinations instead of the paper's five
    #[arg(long)]
    all: bool,
    /// Training steps of each run [default: the preset's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::steps::<usize>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    train_steps: Option<usize>,
    /// Denoising steps of an image [default: the preset's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::denoising_steps)]
    #[serde(skip_serializing_if = "Option::is_none")]
    denoising_steps: Option<usize>,
    /// Pairs of each type and variant
    #[arg(long, default_value_t = 500, value_name = "N", allow_negative_numbers = true, value_parser = numbers::count::<u64>)]
    count: u64,
    /// Where masks come from: real (training masks, varied, near where they lie), scattered (anywhere on the object), procedural, or a folder of mask files
    #[arg(long, default_value = "real", value_name = "SOURCE")]
    masks: String,
    /// Images generated together; no image depends on it
    #[arg(long, default_value_t = IMAGES_TOGETHER, value_name = "N", allow_negative_numbers = true, value_parser = numbers::batch_size)]
    images_together: usize,
    #[command(flatten)]
    #[serde(flatten)]
    localizer: Localizer,
    /// The localisation network's optimisation steps [default: 200 epochs of 500 pictures]
    #[arg(long, default_value_t = 12_500, value_name = "N")]
    steps: u64,
}

/// What config.toml holds.
#[derive(Serialize)]
struct Resolved<'a> {
    seed: u64,
    ablate: &'a Arguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let mut plan = arguments.plan(globals.seed)?;
    outside_of_data(&arguments.out, &arguments.data)?;
    let mut dataset = Dataset::scan(&arguments.data)?.select(arguments.objects.as_deref(), None)?;
    dataset.objects.retain(|object| !object.types.is_empty());
    let base = BaseModel::load(arguments.model.as_deref(), globals.placement()?)?;
    plan.experiment.device = base.unet.placement().device;
    check_places(&plan, &base, &dataset)?;
    let folder = RunFolder::open(&arguments.out, arguments.out.exists(), &Resolved { seed: globals.seed, ablate: arguments })?;
    let out = folder.path().to_owned();
    let mut watch = |kind: &Kind| -> Box<dyn Observer + '_> { Box::new(Watch::new(&out, kind.clone(), 0)) };
    let measured = ablation::run(&base, &dataset, &plan, folder.path(), &mut watch)?;
    let (rows, result) = (table::rows(&measured), table::json(&measured));
    files::write_bytes_atomic(&folder.path().join("ablation.csv"), table::csv(&rows).as_bytes())?;
    files::write_bytes_atomic(&folder.path().join("ablation.json"), &serde_json::to_vec_pretty(&result)?)?;
    note(&format!("ablation.csv and ablation.json are in {}", arguments.out.display()));
    if globals.json {
        return output::json(&result);
    }
    output::line(table::text(&rows))?;
    output::line("\nSAE spatial embedding, ML masked loss, AAR attention re-weighting; per cent, mean over objects; definitions are in ablation.json")
}

/// Refuses normal pictures and masks that the pairs could not be made with, before the first training.
fn check_places(plan: &Plan, base: &BaseModel, dataset: &Dataset) -> Result<()> {
    let together = if plan.preset.batch_norm == BatchNormPolicy::Always { GROUP as u64 } else { 1 };
    for (object, found) in dataset.types() {
        let kind = Kind::new(&object.name, &found.name);
        let places = Places::new(dataset, base, &kind, &plan.masks, plan.preset.name, plan.resolution, plan.seed)?;
        places.masks().check_count(plan.count.next_multiple_of(together))?;
    }
    Ok(())
}

impl Arguments {
    /// What is run; on the CPU until the base model is placed.
    fn plan(&self, seed: u64) -> Result<Plan> {
        let seeds = self.localizer.seeds(seed)?;
        let name = PresetName::parse(&self.preset)?;
        let mut preset = Preset::new(name);
        preset.training.steps = self.train_steps.unwrap_or(preset.training.steps);
        preset.generation.steps = self.denoising_steps.unwrap_or(preset.generation.steps);
        preset.check()?;
        check_amounts(self.count, "--images-together", self.images_together)?;
        let experiment = experiment::Plan {
            sources: ablation::sources(),
            seeds,
            localizer: self.localizer.settings(self.steps)?,
            classifier: None,
            classifier_weights: None,
            split: split_rule(name),
            pairs_per_type: usize::try_from(self.count).unwrap_or(usize::MAX),
            keep_models: false,
            device: Device::Cpu,
        };
        let variants = VARIANTS.into_iter().filter(|variant| self.all || variant.in_paper).collect();
        let masks = match MaskSource::parse(&self.masks, Path::new("")) {
            MaskSource::Learned(..) => invalid_input!("--masks learned: make them ahead with `anodiff masks` and give that folder here"),
            other => other,
        };
        let limits = ModelLimits::read(self.model.as_deref())?;
        limits.check_denoising("--denoising-steps", preset.generation.steps)?;
        let resolution = limits.resolution(None)?;
        Ok(Plan { variants, preset, resolution, count: self.count, masks, batch_size: self.images_together, seed, experiment })
    }
}
