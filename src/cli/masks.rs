//! `anodiff masks`: masks made ahead, and how many of those drawn were usable.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::flags::{IMAGES_TOGETHER, Selection};
use super::folders::outside_of_data;
use super::model_limits::ModelLimits;
use super::train_masks::mask_file;
use super::{Globals, numbers, output};
use crate::anomaly::generated_set::check_amounts;
use crate::anomaly::learned::Kind;
use crate::anomaly::learned_masks::LearnedMasks;
use crate::anomaly::mask_set::{self, Acceptance, MaskObserver, MaskOrder, produce_masks};
use crate::anomaly::mask_source::MaskSource;
use crate::anomaly::presets::{MaskPreset, MaskSampling, PresetName};
use crate::anomaly::shard::Shard;
use crate::data::dataset::Dataset;
use crate::error::{Error, Result};
use crate::models::base::BaseModel;
use crate::training::progress::{Progress, note};
use crate::training::run_folder::FolderLock;
use crate::training::signals;
use crate::{files, invalid_input};

/// The command's flags.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Sources: learned (drawn from what `anodiff train-masks` learned, cleaned, held to the sizes of real masks, put on the object),\n\
    real (training masks, mirrored, turned, a little larger or smaller, not far from where they were, on the object),\n\
    procedural (drawn shapes of the real masks' sizes), or a folder of mask files.\n\n\
    `anodiff generate --masks OUT` gives each image the mask of its number. A mask depends on the seed, object, type and its number alone."
)]
pub struct Arguments {
    /// Run folder of `anodiff train-masks`; only the source learned needs it
    #[arg(long, value_name = "RUN")]
    learned: Option<PathBuf>,
    /// Data set with the real masks and the normal pictures, on whose objects masks are put
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// How many masks of each type the folder shall hold, at most a million
    #[arg(long, value_name = "N", value_parser = numbers::count::<u64>, allow_negative_numbers = true)]
    count: u64,
    /// Folder for <object>/<type>/*.png and masks.jsonl
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where masks come from: learned, real (training masks, varied, near where they lie), scattered (the same anywhere on the object), procedural, or a
    /// folder of mask files
    #[arg(long, default_value = "learned", value_name = "SOURCE")]
    source: String,
    #[command(flatten)]
    selection: Selection,
    /// Base model that the masks were learned on [default: the embedded one]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Side of the masks in pixels [default: the learned masks', or what the base model was made for]
    #[arg(long, value_name = "N", value_parser = numbers::side, allow_negative_numbers = true)]
    resolution: Option<usize>,
    /// Denoising steps of a learned mask [default: the run's preset]
    #[arg(long, value_name = "N", value_parser = numbers::denoising_steps, allow_negative_numbers = true)]
    steps: Option<usize>,
    /// Noise of the sampler, 0 to 1 [default: the run's preset]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = numbers::share)]
    eta: Option<f64>,
    /// Guidance against the empty prompt, 1 for none [default: the run's preset]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = numbers::guidance)]
    guidance: Option<f64>,
    /// A pixel is set when its brightness, -1 to 1, is above this [default: the run's preset]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = numbers::threshold)]
    threshold: Option<f64>,
    /// Masks drawn together, at most 1024, fewer from where a GPU's memory does not hold them; no mask depends on it
    #[arg(long, default_value_t = IMAGES_TOGETHER, value_name = "N", value_parser = numbers::batch_size, allow_negative_numbers = true)]
    batch_size: usize,
    /// Make one share of the masks: i/n, auto (from Slurm, Kubernetes or torchrun) or auto/n
    #[arg(long, default_value = "1/1", value_name = "SHARE")]
    shard: String,
}

/// What the flags come to.
pub(super) struct Checked {
    shard: Shard,
    pub(super) dataset: Dataset,
    limits: ModelLimits,
}

/// A type's row.
#[derive(Serialize)]
struct Row {
    object: String,
    #[serde(rename = "type")]
    defect: String,
    acceptance_rate: f64,
    #[serde(flatten)]
    acceptance: Acceptance,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let Checked { shard, dataset, limits } = arguments.check(PresetName::Default)?;
    let base = BaseModel::load(arguments.model.as_deref(), globals.placement()?)?;
    let (masks, preset, side) = arguments.source(&base, &limits)?;
    files::create_folder(&arguments.out)?;
    let _lock = FolderLock::acquire_share(&arguments.out, &shard.suffix())?;
    let kinds: Vec<Kind> = dataset.types().map(|(object, found)| Kind::new(&object.name, &found.name)).collect();
    let mut rows = Vec::with_capacity(kinds.len());
    for kind in &kinds {
        let order = MaskOrder {
            base: &base,
            dataset: &dataset,
            kind: kind.clone(),
            masks: masks.clone(),
            preset,
            side,
            count: arguments.count,
            batch_size: arguments.batch_size,
            seed: globals.seed,
            out: &arguments.out,
            shard,
        };
        let acceptance = produce(&order)?;
        rows.push(Row { object: kind.object.clone(), defect: kind.defect.clone(), acceptance_rate: acceptance.rate(), acceptance });
    }
    if shard.is_whole() {
        mask_set::join(&arguments.out, &kinds)?;
    }
    if globals.json { output::json(&rows) } else { output::line(table(&rows)) }
}

/// Makes the masks of an order, with a progress line.
pub(super) fn produce(order: &MaskOrder) -> Result<Acceptance> {
    let mut watch = Watch { kind: order.kind.clone(), progress: None };
    let acceptance = produce_masks(order, &mut watch);
    if let Some(progress) = watch.progress {
        progress.finish();
    }
    acceptance
}

/// Shows progress.
struct Watch {
    kind: Kind,
    progress: Option<Progress>,
}

impl MaskObserver for Watch {
    fn progress(&mut self, done: u64, total: u64) {
        match &mut self.progress {
            None => self.progress = Some(Progress::new(format!("masks {}", self.kind), "mask", total, done)),
            Some(progress) => progress.update(done, ""),
        }
    }

    fn does_not_fit(&mut self, error: &Error, batch_size: usize) {
        note(&format!("{error:#}; going on with {batch_size} mask(s) together"));
    }

    fn interrupted(&self) -> Option<i32> {
        signals::interrupted()
    }
}

fn table(rows: &[Row]) -> String {
    let name = |row: &Row| format!("{} {}", row.object, row.defect);
    let width = rows.iter().map(|row| name(row).chars().count()).chain([4]).max().unwrap_or(4);
    let mut lines = vec![format!("{:<width$}  {:>6}  {:>6}  {:>8}  {:>9}  rejected", "type", "masks", "drawn", "accepted", "stand-ins")];
    for row in rows {
        let Acceptance { masks, drawn, rejected, stand_ins } = &row.acceptance;
        let rejected: Vec<String> = rejected.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
        let accepted = 100.0 * row.acceptance_rate;
        lines.push(format!("{:<width$}  {masks:>6}  {drawn:>6}  {accepted:>7.1}%  {stand_ins:>9}  {}", name(row), rejected.join(", ")));
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

impl Arguments {
    /// Refuses what cannot work, as far as it shows before weights and learned masks are read; these are taken to be of the preset `run`. Nothing is
    /// written.
    pub(super) fn check(&self, run: PresetName) -> Result<Checked> {
        let shard = Shard::parse(&self.shard, |name| std::env::var(name).ok())?;
        check_amounts(self.count, "--batch-size", self.batch_size)?;
        outside_of_data(&self.out, &self.data)?;
        let dataset = self.selection.scan(&self.data)?;
        let sampling = match self.learned_masks()? {
            Some(_) => Some(self.sampling(MaskPreset::new(run, 1))?),
            None => None,
        };
        let limits = ModelLimits::read(self.model.as_deref())?;
        limits.resolution(self.resolution)?;
        sampling.map_or(Ok(()), |sampling| limits.check_denoising("--steps", sampling.steps))?;
        Ok(Checked { shard, dataset, limits })
    }

    /// The file of learned masks, where these are asked for.
    fn learned_masks(&self) -> Result<Option<PathBuf>> {
        match &self.learned {
            _ if self.source != "learned" => Ok(None),
            Some(run) => Ok(Some(mask_file(run))),
            None => invalid_input!("--source learned needs --learned RUN, the folder that `anodiff train-masks --out` filled"),
        }
    }

    /// The source, the preset whose split holds, and the side of the masks.
    fn source(&self, base: &BaseModel, limits: &ModelLimits) -> Result<(MaskSource, PresetName, usize)> {
        let Some(file) = self.learned_masks()? else {
            let source = MaskSource::parse(&self.source, &self.out);
            return Ok((source, PresetName::Default, limits.resolution(self.resolution)?));
        };
        let metadata = LearnedMasks::load(&file, base)?.metadata;
        let side = limits.resolution(self.resolution.or(Some(metadata.resolution)))?;
        let name = metadata.preset.name;
        Ok((MaskSource::Learned(file, Some(self.sampling(metadata.preset)?)), name, side))
    }

    /// The run's sampling with the flags' values in it.
    fn sampling(&self, mut preset: MaskPreset) -> Result<MaskSampling> {
        let sampling = &mut preset.sampling;
        sampling.steps = self.steps.unwrap_or(sampling.steps);
        sampling.eta = self.eta.unwrap_or(sampling.eta);
        sampling.guidance = self.guidance.unwrap_or(sampling.guidance);
        sampling.threshold = self.threshold.unwrap_or(sampling.threshold);
        preset.check()?;
        Ok(preset.sampling)
    }
}
