//! `anodiff demo`: the main job from nothing, on the embedded base model: data, training, generation, measurement, report.

mod measure;
mod page;
mod pictures;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::flags::IMAGES_TOGETHER;
use super::generate::Watch;
use super::{Globals, numbers, output};
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::mask_source::MaskSource;
use crate::anomaly::presets::{Preset, PresetName};
use crate::anomaly::production::{Order, produce};
use crate::anomaly::shard::Shard;
use crate::anomaly::templates::Templates;
use crate::data::dataset::Dataset;
use crate::data::demo::{self, Plan};
use crate::error::Result;
use crate::files;
use crate::models::base::BaseModel;
use crate::training::embeddings::{self, Options};
use crate::training::progress::{Progress, note};
use crate::training::run_folder::{FolderLock, RunFolder};
use measure::Measured;

/// Pairs of each type whose way from noise to picture is kept for the report.
const WATCHED: u64 = 2;

/// `anodiff demo`: where and how much.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Arguments {
    /// Folder for everything
    #[arg(long, default_value = "anodiff-demo", value_name = "DIR")]
    #[serde(skip)]
    out: PathBuf,
    /// Base model: a folder in the diffusers layout or a checkpoint in one .safetensors file [default: the embedded one]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<PathBuf>,
    /// Training steps, for all types together
    #[arg(long, default_value_t = 1200, value_name = "N", value_parser = numbers::steps::<usize>, allow_negative_numbers = true)]
    steps: usize,
    /// Pairs to generate of each type
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = numbers::count::<u64>, allow_negative_numbers = true)]
    count: u64,
}

/// What the report is made of.
struct Run<'a> {
    folder: &'a Path,
    base: &'a BaseModel,
    learned: &'a Learned,
    dataset: &'a Dataset,
    measured: Vec<Measured>,
    training_seconds: f64,
    generation_seconds: f64,
}

/// What config.toml of the run holds.
#[derive(Serialize)]
struct Resolved<'a> {
    seed: u64,
    demo: &'a Arguments,
}

/// The result on stdout.
#[derive(Serialize)]
struct Outcome {
    report: PathBuf,
    contact_sheet: PathBuf,
    pairs: PathBuf,
    measured: Vec<Measured>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let started = Instant::now();
    let base = BaseModel::load(arguments.model.as_deref(), globals.placement()?)?;
    files::create_folder(&arguments.out)?;
    let data = arguments.out.join("data");
    note("1 of 4: writing the demo data set");
    write_data(&data, &Plan { size: base.resolution(), seed: globals.seed, ..Plan::default() })?;
    let dataset = Dataset::scan(&data)?;
    note("2 of 4: learning the defects");
    let clock = Instant::now();
    let learned = learn(arguments, globals, &base, &dataset)?;
    let training_seconds = clock.elapsed().as_secs_f64();
    note("3 of 4: generating pairs");
    let clock = Instant::now();
    let generated = arguments.out.join("generated");
    generate(arguments, globals, &base, &learned, &dataset, &generated)?;
    let generation_seconds = clock.elapsed().as_secs_f64();
    note("4 of 4: measuring and reporting");
    let measured = measure::measure(&generated, &dataset, &learned)?;
    let run = Run { folder: &arguments.out, base: &base, learned: &learned, dataset: &dataset, measured, training_seconds, generation_seconds };
    let (report, contact_sheet) = page::write(&run)?;
    note(&format!("done in {:.0} s", started.elapsed().as_secs_f64()));
    finish(globals, Outcome { report, contact_sheet, pairs: generated, measured: run.measured })
}

fn write_data(root: &Path, plan: &Plan) -> Result<()> {
    let drawn = AtomicU64::new(0);
    let progress = Mutex::new(Progress::new("draw", "picture", demo::picture_count(plan) as u64, 0));
    demo::write(root, plan, || {
        let drawn = drawn.fetch_add(1, Ordering::Relaxed) + 1;
        if let Ok(mut progress) = progress.try_lock() {
            progress.update(drawn, "");
        }
    })?;
    progress.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).finish();
    Ok(())
}

fn learn(arguments: &Arguments, globals: &Globals, base: &BaseModel, dataset: &Dataset) -> Result<Learned> {
    let mut preset = Preset::new(PresetName::Default);
    preset.training.steps = arguments.steps;
    let templates = Templates::built_in(preset.templates);
    let kinds: Vec<Kind> = dataset.types().map(|(object, found)| Kind::new(&object.name, &found.name)).collect();
    let learned = Learned::create(base, preset, templates, kinds, base.resolution(), globals.seed)?;
    let folder = arguments.out.join("run");
    let resume = folder.exists();
    let folder = RunFolder::open(&folder, resume, &Resolved { seed: globals.seed, demo: arguments })?;
    let options = Options { accumulate: 1, checkpoint_every: 200, validate_every: 0 };
    Ok(embeddings::train(folder.path(), base, learned, dataset, &options)?.0)
}

fn generate(arguments: &Arguments, globals: &Globals, base: &BaseModel, learned: &Learned, dataset: &Dataset, out: &Path) -> Result<()> {
    files::create_folder(out)?;
    let _lock = FolderLock::acquire(out)?;
    for kind in &learned.metadata.kinds {
        let order = Order {
            base,
            learned,
            dataset,
            kind: kind.clone(),
            settings: learned.metadata.preset.generation.clone(),
            // A demo defect can be anywhere on its object.
            masks: MaskSource::Scattered,
            count: arguments.count,
            batch_size: IMAGES_TOGETHER,
            seed: globals.seed,
            out,
            shard: Shard::WHOLE,
        };
        let mut watch = Watch::new(out, kind.clone(), WATCHED);
        produce(&order, &mut watch)?;
        watch.finish();
    }
    Ok(())
}

fn finish(globals: &Globals, outcome: Outcome) -> Result<()> {
    if globals.json {
        return output::json(&outcome);
    }
    output::line(format!("report         {}", outcome.report.display()))?;
    output::line(format!("contact sheet  {}", outcome.contact_sheet.display()))?;
    output::line(format!("pairs          {}", outcome.pairs.display()))
}
