//! `anodiff quality`: how good generated pairs are, without training anything on them.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::flags::Selection;
use super::folders::outside_of_data;
use super::{Globals, output};
use crate::data::dataset::{Dataset, SplitRule};
use crate::device::Device;
use crate::error::{Context, Result};
use crate::evaluation::quality::{self, Judges, MEASURES, Plan, table};
use crate::models::lpips::Network;
use crate::training::progress::note;
use crate::training::run_folder::RunFolder;
use crate::{files, invalid_input};

/// `anodiff quality`: what to measure, and with which networks.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(after_help = "Mask alignment and background drift need the folder's manifest.jsonl, which `anodiff generate` writes, and no network.\n\
    IS and KID need --inception, IC-LPIPS needs --lpips: docs/quality.md says which files these are, how to convert them, and what each number means.")]
pub struct Arguments {
    /// Folder of generated pairs: <DIR>/<object>/{test/<type>,ground_truth/<type>}
    #[arg(long, value_name = "DIR")]
    generated: PathBuf,
    /// The data set that they were made from, in MVTec AD layout
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Folder for quality.csv, quality.json and each type's numbers; the same command again goes on
    #[arg(long, value_name = "OUT")]
    #[serde(skip)]
    out: PathBuf,
    #[command(flatten)]
    #[serde(flatten)]
    selection: Selection,
    /// torchvision's Inception-v3 as safetensors: measures IS and KID
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    inception: Option<PathBuf>,
    /// LPIPS with its network as safetensors: measures IC-LPIPS
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    lpips: Option<PathBuf>,
    /// The network of --lpips: vgg (which numbers are reported with) or alex
    #[arg(long, default_value = "vgg", value_name = "NETWORK")]
    lpips_network: String,
    /// Side of the pictures for LPIPS, in pixels; distances depend on it
    #[arg(long, default_value_t = 256, value_name = "N", allow_negative_numbers = true)]
    resolution: usize,
    /// Which real pairs were trained on: default (the first third) or official (as the released program)
    #[arg(long, value_name = "PRESET", default_value = "default", value_parser = ["default", "official"])]
    preset: String,
}

/// What config.toml holds.
#[derive(Serialize)]
struct Resolved<'a> {
    quality: &'a Arguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    if !(64..=2048).contains(&arguments.resolution) {
        invalid_input!("--resolution {}: expected 64 to 2048", arguments.resolution);
    }
    let network = Network::parse(&arguments.lpips_network)?;
    outside_of_data(&arguments.out, &arguments.data)?;
    outside_of_data(&arguments.out, &arguments.generated)?;
    let dataset = Dataset::scan(&arguments.data)?;
    let generated = arguments.selection.scan(&arguments.generated).context("--generated")?;
    let judged = arguments.inception.is_some() || arguments.lpips.is_some();
    let device = if judged { globals.f32_placement()?.device } else { Device::Cpu };
    let judges = Judges::load(arguments.inception.as_deref(), arguments.lpips.as_deref().map(|path| (path, network)), device)?;
    let split = if arguments.preset == "official" { SplitRule::Official } else { SplitRule::Default };
    let plan = Plan { judges, side: arguments.resolution, split };
    let folder = RunFolder::open(&arguments.out, arguments.out.exists(), &Resolved { quality: arguments })?;
    let rows = table::rows(&quality::measure(&dataset, &generated, &plan, folder.path())?);
    let result = table::json(&rows, &plan);
    files::write_bytes_atomic(&folder.path().join("quality.csv"), table::csv(&rows).as_bytes())?;
    files::write_bytes_atomic(&folder.path().join("quality.json"), &serde_json::to_vec_pretty(&result)?)?;
    note(&format!("quality.csv and quality.json are in {}", arguments.out.display()));
    if globals.json {
        return output::json(&result);
    }
    output::line(table::text(&rows))?;
    let mut definitions: Vec<(String, Vec<&str>)> = Vec::new();
    let shown = MEASURES.iter().zip(plan.protocols()).enumerate().filter(|(position, _)| rows.iter().any(|row| row.numbers.0[*position].is_some()));
    for (_, (measure, protocol)) in shown {
        match definitions.iter_mut().find(|(known, _)| *known == protocol) {
            Some((_, names)) => names.push(measure.heading),
            None => definitions.push((protocol, vec![measure.heading])),
        }
    }
    let definitions: Vec<String> = definitions.into_iter().map(|(protocol, names)| format!("{} = {protocol}", names.join(", "))).collect();
    output::line(format!("\ndefinitions: {}", definitions.join("; ")))
}
