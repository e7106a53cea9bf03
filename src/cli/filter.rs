//! `anodiff filter`: which generated pairs failed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::folders::outside_of_data;
use super::{Globals, numbers, output};
use crate::data::dataset::{Dataset, SplitRule};
use crate::error::Result;
use crate::evaluation::filter::{self, KEEP, Limits, SCORES, Score};
use crate::models::base::BaseModel;
use crate::training::progress::Progress;
use crate::training::signals;

/// The folder for the lists, in the folder of the pairs.
const FOLDER: &str = "filter";

/// The command's flags.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Scores: mask_changed, the share of the mask's pixels that differ from the normal picture by more than 8 of 255 levels;\n\
    background_psnr, in dB outside the mask (99 where nothing changed); distance, between the autoencoder's latent statistics around the defect and\n\
    those of the nearest real training defect of the type; relative_distance, the same over the median of the type's pairs.\n\n\
    `anodiff evaluate --keep` and `anodiff export --keep` take keep.txt.")]
pub struct Arguments {
    /// Folder of generated pairs
    #[arg(long, value_name = "DIR")]
    generated: PathBuf,
    /// Data set that they were made from
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Folder for keep.txt, drop.txt and scores.csv [default: DIR/filter]
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// Base model whose autoencoder compares defects [default: the embedded one]
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Least share of the mask that has to differ from the normal picture
    #[arg(long, default_value_t = Limits::default().least_change, value_name = "F", allow_negative_numbers = true, value_parser = numbers::share)]
    least_change: f64,
    /// Least PSNR outside the mask, in dB
    #[arg(long, default_value_t = Limits::default().least_psnr, value_name = "F", allow_negative_numbers = true, value_parser = numbers::decibels)]
    least_psnr: f64,
    /// Largest distance to the nearest real defect, in multiples of the median over the type's pairs
    #[arg(long, default_value_t = Limits::default().most_distance, value_name = "F", allow_negative_numbers = true, value_parser = numbers::distance)]
    most_distance: f64,
}

/// What the flags come to.
pub(super) struct Checked {
    limits: Limits,
    out: PathBuf,
    dataset: Dataset,
}

/// The result on stdout.
#[derive(Serialize)]
struct Outcome {
    keep_list: PathBuf,
    scores: PathBuf,
    limits: Limits,
    types: Vec<Row>,
}

/// What became of a type's pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) object: String,
    #[serde(rename = "type")]
    pub(super) defect: String,
    pub(super) pairs: usize,
    pub(super) kept: usize,
    /// Dropped pairs by reason; a pair may have several.
    pub(super) dropped: BTreeMap<&'static str, usize>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let Checked { limits, out, dataset } = arguments.check()?;
    let base = BaseModel::load(arguments.model.as_deref(), globals.f32_placement()?)?;
    let mut progress: Option<Progress> = None;
    let scores = filter::score(&arguments.generated, &dataset, &base, SplitRule::Default, &limits, &mut |done, total| {
        progress.get_or_insert_with(|| Progress::new("filter", "pair", total as u64, 0)).update(done as u64, "");
        signals::check()
    })?;
    if let Some(progress) = progress {
        progress.finish();
    }
    filter::write(&out, &scores)?;
    let types = rows(&scores);
    if globals.json {
        return output::json(&Outcome { keep_list: out.join(KEEP), scores: out.join(SCORES), limits, types });
    }
    output::line(table(&types))?;
    output::line(out.join(KEEP).display())
}

impl Arguments {
    /// Refuses what cannot work, as far as it shows before the pairs are looked at. Nothing is written.
    pub(super) fn check(&self) -> Result<Checked> {
        let limits = Limits { least_change: self.least_change, least_psnr: self.least_psnr, most_distance: self.most_distance };
        limits.check()?;
        let out = self.out.clone().unwrap_or_else(|| self.generated.join(FOLDER));
        outside_of_data(&out, &self.data)?;
        Ok(Checked { limits, out, dataset: Dataset::scan(&self.data)? })
    }
}

/// A row a type.
pub(super) fn rows(scores: &[Score]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for score in scores {
        if rows.last().is_none_or(|row| row.object != score.object || row.defect != score.defect) {
            rows.push(Row { object: score.object.clone(), defect: score.defect.clone(), pairs: 0, kept: 0, dropped: BTreeMap::new() });
        }
        if let Some(row) = rows.last_mut() {
            row.pairs += 1;
            row.kept += usize::from(score.is_kept());
            score.reasons.iter().for_each(|reason| *row.dropped.entry(reason.name()).or_insert(0) += 1);
        }
    }
    rows
}

/// The rows for people.
pub(super) fn table(rows: &[Row]) -> String {
    let name = |row: &Row| format!("{} {}", row.object, row.defect);
    let width = rows.iter().map(|row| name(row).chars().count()).chain([4]).max().unwrap_or(4);
    let mut lines = vec![format!("{:<width$}  {:>7}  {:>7}  dropped for", "type", "pairs", "kept")];
    for row in rows {
        let reasons: Vec<String> = row.dropped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        lines.push(format!("{:<width$}  {:>7}  {:>7}  {}", name(row), row.pairs, row.kept, reasons.join(", ")).trim_end().to_owned());
    }
    lines.join("\n")
}
