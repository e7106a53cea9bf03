//! `anodiff evaluate`: does inspection get better with the generated pairs?

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::flags::Localizer;
use super::folders::outside_of_data;
use super::{Globals, numbers, output};
use crate::data::dataset::{Dataset, KeepList, SplitRule};
use crate::device::Device;
use crate::error::{Context, Result};
use crate::evaluation::experiment::{self, Plan, table};
use crate::evaluation::sources::Source;
use crate::evaluation::{classification, scores::METRICS};
use crate::files;
use crate::training::progress::note;
use crate::training::run_folder::RunFolder;

/// Pictures of an epoch, as in the released program.
const EPOCH: u64 = 500;
/// Epochs of the classifier.
const CLASSIFIER_EPOCHS: u64 = 30;

/// `anodiff evaluate`: what to train, on what, and for how long.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(after_help = "The defaults are the paper's and meant for full-size data: hours per object without a GPU. For the demo's data on a CPU:\n\
    anodiff evaluate --generated anodiff-demo/generated --data anodiff-demo/data --out evaluation --compare \\\n    \
    --resolution 128 --width 8 --steps 300 --learning-rate 0.001\n\n\
    Sources: generated (the pairs of --generated), real (the real training pairs, augmented), generated+real (in one pool),\n\
    crop-paste (real defects pasted onto normal pictures), cut-paste (patches and scars of the normal picture itself), draem (foreign texture under Perlin noise).")]
pub struct Arguments {
    /// Folder of generated pairs: <DIR>/<object>/{test/<type>,ground_truth/<type>}
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    generated: Option<PathBuf>,
    /// List of the generated pairs to use, as `anodiff filter` writes it [default: all]
    #[arg(long, value_name = "FILE", requires = "generated")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<PathBuf>,
    /// Data set in MVTec AD layout: normal pictures to train on, and what to test on
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Folder for results.csv, results.json and one folder a training; the same command again goes on
    #[arg(long, value_name = "OUT")]
    #[serde(skip)]
    out: PathBuf,
    /// Objects, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<String>>,
    /// Where training defects come from, separated by commas: generated, generated+real, real, crop-paste, cut-paste, draem [default: generated]
    #[arg(long, value_delimiter = ',', value_name = "NAMES", conflicts_with = "compare")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<String>>,
    /// Train the same network on every source, without --generated on every baseline, and print one table
    #[arg(long)]
    compare: bool,
    /// Which real pairs are for testing: default (all but the first third) or official (as the released program: one pair is also trained on)
    #[arg(long, value_name = "PRESET", default_value = "default", value_parser = ["default", "official"])]
    preset: String,
    #[command(flatten)]
    #[serde(flatten)]
    localizer: Localizer,
    /// Epochs of 500 pictures, at most a million
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = numbers::epochs, allow_negative_numbers = true)]
    epochs: u64,
    /// Optimisation steps, in place of --epochs
    #[arg(long, value_name = "N", value_parser = numbers::steps::<u64>, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    /// The most generated pairs of a type
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = numbers::count::<usize>, allow_negative_numbers = true)]
    pairs_per_type: usize,
    /// Also train a ResNet-34 to tell the types apart, where the source has types
    #[arg(long)]
    classify: bool,
    /// Channels of the classifier's first stage, at most 512
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = numbers::width, allow_negative_numbers = true)]
    classifier_width: usize,
    /// ImageNet weights that the ResNet-34 starts from: safetensors with torchvision's names [default: random]
    #[arg(long, value_name = "FILE", requires = "classify")]
    #[serde(skip_serializing_if = "Option::is_none")]
    classifier_weights: Option<PathBuf>,
    /// Optimisation steps of the classifier [default: 30 epochs of 500 pictures]
    #[arg(long, value_name = "N", value_parser = numbers::steps::<u64>, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    classifier_steps: Option<u64>,
    /// Keep the trained U-Nets as localizer.safetensors
    #[arg(long)]
    keep_models: bool,
}

/// What config.toml holds.
#[derive(Serialize)]
struct Resolved<'a> {
    seed: u64,
    evaluate: &'a Arguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let dataset = arguments.check(globals.seed)?;
    let generated = match &arguments.generated {
        Some(folder) => {
            let mut pairs = Dataset::scan(folder).context("--generated")?;
            if let Some(list) = &arguments.keep {
                KeepList::load(list)?.apply(&mut pairs).context("--keep")?;
            }
            Some(pairs)
        }
        None => None,
    };
    let plan = arguments.plan(globals.seed, globals.f32_placement()?.device)?;
    let resolved = Resolved { seed: globals.seed, evaluate: arguments };
    let folder = RunFolder::open(&arguments.out, arguments.out.exists(), &resolved)?;
    let outcomes = experiment::run(&dataset, generated.as_ref(), &plan, folder.path())?;
    let rows = table::rows(&outcomes);
    let mut result = table::json(&rows);
    result["seeds"] = json!(plan.seeds);
    result["settings"] = json!({"localizer": plan.localizer, "classifier": plan.classifier, "split": arguments.preset});
    files::write_bytes_atomic(&folder.path().join("results.csv"), table::csv(&rows).as_bytes())?;
    files::write_bytes_atomic(&folder.path().join("results.json"), &serde_json::to_vec_pretty(&result)?)?;
    note(&format!("results.csv and results.json are in {}", arguments.out.display()));
    if globals.json {
        return output::json(&result);
    }
    output::line(table::text(&rows, plan.sources.len() == 1))?;
    let protocols: Vec<String> = METRICS.iter().map(|metric| format!("{} = {}", metric.name, metric.protocol)).collect();
    output::line(format!("\nper cent; definitions: {}", protocols.join(", ")))
}

impl Arguments {
    /// Refuses what cannot work, as far as it shows before the pairs are looked at; gives the objects with something to test on. Nothing is written.
    pub(super) fn check(&self, seed: u64) -> Result<Dataset> {
        let plan = self.plan(seed, Device::Cpu)?;
        outside_of_data(&self.out, &self.data)?;
        self.generated.as_ref().map_or(Ok(()), |folder| outside_of_data(&self.out, folder))?;
        let mut dataset = Dataset::scan(&self.data)?.select(self.objects.as_deref(), None)?;
        dataset.objects.retain(|object| !object.types.is_empty());
        // Only whether there are pairs is looked at, and the folder may be yet to fill.
        plan.check(self.generated.is_some().then_some(&dataset))?;
        Ok(dataset)
    }

    /// What is trained on `device`.
    fn plan(&self, seed: u64, device: Device) -> Result<Plan> {
        let seeds = self.localizer.seeds(seed)?;
        let &Localizer { batch_size: batch, learning_rate, .. } = &self.localizer;
        let steps = |epochs: u64| epochs.saturating_mul(EPOCH).div_ceil(batch as u64);
        let localizer = self.localizer.settings(self.steps.unwrap_or_else(|| steps(self.epochs)))?;
        let classifier = classification::Settings {
            width: self.classifier_width,
            steps: self.classifier_steps.unwrap_or_else(|| steps(CLASSIFIER_EPOCHS)),
            batch,
            learning_rate,
        };
        Ok(Plan {
            sources: self.sources()?,
            seeds,
            localizer,
            classifier: self.classify.then_some(classifier),
            classifier_weights: self
                .classifier_weights
                .as_deref()
                .map(|path| classifier.backbone(path, device))
                .transpose()
                .context("--classifier-weights")?,
            split: if self.preset == "official" { SplitRule::Official } else { SplitRule::Default },
            pairs_per_type: self.pairs_per_type,
            keep_models: self.keep_models,
            device,
        })
    }

    /// Each once.
    fn sources(&self) -> Result<Vec<Source>> {
        if self.compare {
            return Ok(Source::ALL.into_iter().filter(|source| !source.needs_generated() || self.generated.is_some()).collect());
        }
        let mut sources = Vec::new();
        for name in self.sources.as_deref().unwrap_or(&["generated".to_owned()]) {
            let source = Source::parse(name)?;
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        Ok(sources)
    }
}
