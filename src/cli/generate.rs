//! `anodiff generate`: image/mask pairs of a learned defect type.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::flags::IMAGES_TOGETHER;
use super::folders::outside_of_data;
use super::model_limits::ModelLimits;
use super::train_masks::mask_file;
use super::{Globals, numbers, output};
use crate::anomaly::generated_set::{Finished, Manifest, NAME, check_amounts};
use crate::anomaly::generation::Glimpse;
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::mask_source::MaskSource;
use crate::anomaly::places;
use crate::anomaly::presets::{GenerationPreset, Preset, PresetName};
use crate::anomaly::production::{Observer, Order, produce};
use crate::anomaly::reweighting::{Mode, Reweighting};
use crate::anomaly::shard::Shard;
use crate::data::dataset::Dataset;
use crate::error::{Error, Result};
use crate::files;
use crate::models::base::BaseModel;
use crate::ops::weight_map::BOUND;
use crate::report::{heat_map, intermediates};
use crate::training::embeddings::LEARNED;
use crate::training::progress::{Progress, note};
use crate::training::run_folder::FolderLock;
use crate::training::signals;

/// Steps of an image that --save-intermediates keeps.
const GLIMPSES: usize = 8;

/// The command's flags.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Run folder of `anodiff train`, or its learned.safetensors
    #[arg(long, value_name = "RUN")]
    learned: PathBuf,
    /// Data set with the normal images, and the real masks
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Object, as the folder in the data set is called
    #[arg(long, value_name = "NAME")]
    object: String,
    /// Defect type, as the folder in the data set is called
    #[arg(long = "type", value_name = "NAME")]
    defect: String,
    /// How many pairs of the type the folder shall hold, at most a million
    #[arg(long, value_name = "N", value_parser = numbers::count::<u64>, allow_negative_numbers = true)]
    count: u64,
    /// Folder for the pairs
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Base model that the run was trained with [default: the embedded one]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Where masks come from: learned (by `anodiff train-masks` in RUN), real (training masks, varied, near where they lie), scattered
    /// (the same anywhere on the object), procedural, or a folder: one that `anodiff masks` filled, or any with mask files
    #[arg(long, default_value = "real", value_name = "SOURCE")]
    masks: String,
    /// Attention re-weighting: off, paper, official or default [default: the run's preset]
    #[arg(long, value_name = "MODE")]
    reweight: Option<String>,
    /// Denoising steps [default: the run's preset]
    #[arg(long, value_name = "N", value_parser = numbers::denoising_steps, allow_negative_numbers = true)]
    steps: Option<usize>,
    /// Noise of the sampler, 0 (deterministic) to 1 [default: the run's preset]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = numbers::share)]
    eta: Option<f64>,
    /// Classifier-free guidance, 1 for none [default: the run's preset]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = numbers::guidance)]
    guidance: Option<f64>,
    /// Share of the starting noise's coarse part (local means) that stays inside the mask, 0 to 1: less gives steadier colours [default: the run's preset]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = numbers::share)]
    coarse_noise: Option<f64>,
    /// Images computed together, at most 1024, fewer from where a GPU's memory does not hold them; no image depends on it
    #[arg(long, default_value_t = IMAGES_TOGETHER, value_name = "N", value_parser = numbers::batch_size, allow_negative_numbers = true)]
    batch_size: usize,
    /// Make one share of the pairs: i/n, auto (from Slurm, Kubernetes or torchrun) or auto/n; all shares may run at once on one folder
    #[arg(long, default_value = "1/1", value_name = "SHARE")]
    shard: String,
    /// Keep estimates and weight maps of some steps, as large as the close-up they belong to, in DIR/intermediates
    #[arg(long)]
    save_intermediates: bool,
}

/// What the flags come to.
pub(super) struct Checked {
    kind: Kind,
    shard: Shard,
    dataset: Dataset,
}

/// The result on stdout.
#[derive(Serialize)]
struct Outcome {
    out: PathBuf,
    made: u64,
    kept: u64,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let Checked { kind, shard, dataset } = arguments.check(PresetName::Default)?;
    let base = BaseModel::load(arguments.model.as_deref(), globals.placement()?)?;
    let learned = Learned::load(&learned_file(&arguments.learned), &base)?;
    learned.position(&kind)?;
    let settings = arguments.settings(&learned.metadata.preset)?;
    files::create_folder(&arguments.out)?;
    let _lock = FolderLock::acquire_share(&arguments.out, &shard.suffix())?;
    let order = Order {
        base: &base,
        learned: &learned,
        dataset: &dataset,
        kind: kind.clone(),
        settings,
        masks: MaskSource::parse(&arguments.masks, &mask_file(&arguments.learned)),
        count: arguments.count,
        batch_size: arguments.batch_size,
        seed: globals.seed,
        out: &arguments.out,
        shard,
    };
    let watched = if arguments.save_intermediates { u64::MAX } else { 0 };
    let mut watch = Watch::new(&arguments.out, kind, watched);
    let summary = produce(&order, &mut watch)?;
    watch.finish();
    if shard.is_whole() {
        Manifest::join(&arguments.out, &learned.metadata.kinds)?;
    }
    if globals.json {
        return output::json(&Outcome { out: arguments.out.clone(), made: summary.made, kept: summary.kept });
    }
    output::line(arguments.out.join(NAME).display())
}

impl Arguments {
    /// Refuses what cannot work, as far as it shows before weights and the learned file are read; this is taken to be of the preset `run`. Nothing is
    /// written.
    pub(super) fn check(&self, run: PresetName) -> Result<Checked> {
        let shard = Shard::parse(&self.shard, |name| std::env::var(name).ok())?;
        check_amounts(self.count, "--batch-size", self.batch_size)?;
        let settings = self.settings(&Preset::new(run))?;
        outside_of_data(&self.out, &self.data)?;
        let (kind, dataset) = (Kind::new(&self.object, &self.defect), Dataset::scan(&self.data)?);
        places::find(&dataset, &kind)?;
        ModelLimits::read(self.model.as_deref())?.check_denoising("--steps", settings.steps)?;
        Ok(Checked { kind, shard, dataset })
    }

    /// The run's generation settings with the flags' values in them.
    fn settings(&self, preset: &Preset) -> Result<GenerationPreset> {
        let mut preset = preset.clone();
        let settings = &mut preset.generation;
        settings.steps = self.steps.unwrap_or(settings.steps);
        settings.eta = self.eta.unwrap_or(settings.eta);
        settings.guidance = self.guidance.unwrap_or(settings.guidance);
        settings.coarse_noise = self.coarse_noise.unwrap_or(settings.coarse_noise);
        if let Some(mode) = &self.reweight {
            settings.reweighting = Reweighting::new(Mode::parse(mode)?);
        }
        preset.check()?;
        Ok(preset.generation)
    }
}

/// The learned file that a run folder holds, or that is named itself.
pub(super) fn learned_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(LEARNED) } else { path.to_owned() }
}

/// Shows progress and keeps intermediates.
pub(super) struct Watch<'a> {
    progress: Option<Progress>,
    out: &'a Path,
    kind: Kind,
    watched: u64,
}

impl<'a> Watch<'a> {
    /// Keeps estimates and weight maps of the images numbered below `watched` (in whole batches).
    pub(super) fn new(out: &'a Path, kind: Kind, watched: u64) -> Self {
        Self { progress: None, out, kind, watched }
    }

    /// Ends the progress line.
    pub(super) fn finish(self) {
        if let Some(progress) = self.progress {
            progress.finish();
        }
    }
}

impl Observer for Watch<'_> {
    fn started(&mut self, kept: u64, total: u64) {
        self.progress = Some(Progress::new(format!("generate {}", self.kind), "image", total, kept));
    }

    fn finished(&mut self, _: &[Finished], done: u64) {
        if let Some(progress) = &mut self.progress {
            progress.update(done, "");
        }
    }

    fn does_not_fit(&mut self, error: &Error, batch_size: usize) {
        note(&format!("{error:#}; going on with {batch_size} image(s) together"));
    }

    fn glimpses(&self, first: u64) -> usize {
        if first < self.watched { GLIMPSES } else { 0 }
    }

    fn trace(&mut self, index: u64, trace: &[Glimpse]) -> Result<()> {
        let folder = intermediates(self.out, &self.kind, index);
        files::create_folder(&folder)?;
        for glimpse in trace {
            glimpse.estimate.save(&folder.join(format!("t{:04}_estimate.png", glimpse.timestep)))?;
            if let Some(weights) = &glimpse.weights {
                let [height, width] = weights.dims()?;
                let picture = heat_map(&weights.f32s()?, width, height, 0.0, BOUND as f32);
                picture.save(&folder.join(format!("t{:04}_weights.png", glimpse.timestep)))?;
            }
        }
        Ok(())
    }

    fn interrupted(&self) -> Option<i32> {
        signals::interrupted()
    }
}
