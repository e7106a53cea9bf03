//! `anodiff report`: one page about what a folder holds.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Globals, output};
use crate::error::Result;
use crate::report::folder::Report;
use crate::training::progress::note;
use crate::{files, invalid_input};

/// The page's name.
const PAGE: &str = "report.html";
/// All tables in one file.
const TABLES: &str = "report.json";

/// `anodiff report`: about what.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(
    after_help = "The page is self-contained: no network, no script, readable on a phone, in print and in dark mode. It holds what is there: settings and\n\
    digests, contact sheets of pairs, training curves, tables, bars, ROC and precision-recall curves, best and worst pictures, times."
)]
pub struct Arguments {
    /// Folder of train, generate, quality, evaluate, ablate or demo, or one that holds such folders
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Data set that pairs were made from, to show the normal pictures beside them [default: DIR/data where that is a folder]
    #[arg(long, value_name = "ROOT")]
    data: Option<PathBuf>,
}

/// The result on stdout.
#[derive(Serialize)]
struct Outcome {
    report: PathBuf,
    tables: Value,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    arguments.check()?;
    let report = Report::read(&arguments.folder, arguments.data.as_deref())?;
    let page = arguments.folder.join(PAGE);
    files::write_bytes_atomic(&page, report.html().as_bytes())?;
    for (name, table) in report.tables() {
        files::write_bytes_atomic(&arguments.folder.join(format!("report-{name}.csv")), table.csv().as_bytes())?;
    }
    let tables = report.json();
    files::write_bytes_atomic(&arguments.folder.join(TABLES), &serde_json::to_vec_pretty(&tables)?)?;
    note(&format!("{PAGE}, {TABLES} and report-*.csv are in {}", arguments.folder.display()));
    if globals.json {
        return output::json(&Outcome { report: page, tables });
    }
    output::line(page.display())
}

impl Arguments {
    /// Refuses what cannot work, as far as it shows before the folder is looked at. Nothing is written.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(data) = self.data.as_ref().filter(|data| !data.is_dir()) {
            invalid_input!("--data {}: expected the folder of a data set", data.display());
        }
        Ok(())
    }
}
