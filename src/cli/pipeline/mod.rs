//! `anodiff pipeline`: the whole experiment on a data set, stage by stage; each stage is a command of its own.

mod calls;
mod stages;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::folders::outside_of_data;
use super::{Globals, output};
use crate::anomaly::generated_set::{MOST_PAIRS, Manifest};
use crate::anomaly::learned::Kind;
use crate::anomaly::mask_set;
use crate::anomaly::presets::{GROUP, PresetName};
use crate::anomaly::shard::Shard;
use crate::data::dataset::Dataset;
use crate::error::Result;
use crate::training::progress::{duration, note};
use crate::training::signals;
use crate::{files, invalid_input};
use stages::{Folder, Stage};

/// The command's flags.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Stages: check, train, train-masks, masks, generate (every type), filter, evaluate, report. Each is the command of its name; --config FILE gives\n\
    it the values of its own table, as in [train] steps = 1000. The settings of all stages are checked before the first one begins. A stage that is\n\
    done is not done again; an interrupted one goes on where it was.\n\n\
    OUT gets run/ (what was learned), masks/, generated/ (the pairs), filter/ (keep.txt), evaluation/ (results.csv), report.html\n\
    and pipeline.toml.\n\n\
    With --shard the stages masks and generate are divided over processes on one folder, started at any time and in any order: the first one does\n\
    the stages before, and the last one to finish does those behind. With Slurm:  srun anodiff pipeline ... --shard auto  in an array job."
)]
pub struct Arguments {
    /// Data set in MVTec AD layout
    #[arg(long, value_name = "ROOT")]
    data: PathBuf,
    /// Folder for everything
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
    /// Pairs to generate of each type
    #[arg(long, default_value_t = 1000, value_name = "N")]
    count: u64,
    /// Base model: a folder in the diffusers layout or a checkpoint in one .safetensors file [default: the embedded one]
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Settings to start from: default, paper or official
    #[arg(long, default_value = "default", value_name = "PRESET")]
    preset: String,
    /// Where masks come from: learned, real or procedural
    #[arg(long, default_value = "learned", value_name = "SOURCE", value_parser = ["learned", "real", "scattered", "procedural"])]
    masks: String,
    /// Evaluate the baselines, too
    #[arg(long)]
    compare: bool,
    /// The last stage to do [default: all]
    #[arg(long, value_name = "STAGE")]
    until: Option<String>,
    /// Make one share of masks and pairs: i/n, auto (from Slurm, Kubernetes or torchrun) or auto/n
    #[arg(long, default_value = "1/1", value_name = "SHARE")]
    shard: String,
}

/// What decides the files: another call on the same folder must agree.
#[derive(Serialize)]
struct Settings<'a> {
    data: String,
    count: u64,
    preset: &'a str,
    masks: &'a str,
    compare: bool,
    model: String,
    dtype: &'a str,
    seed: u64,
    config: String,
}

/// The result on stdout.
#[derive(Serialize)]
struct Outcome {
    out: PathBuf,
    /// Stages that this process did, with the seconds they took.
    stages: Vec<(&'static str, f64)>,
    complete: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let shard = Shard::parse(&arguments.shard, |name| std::env::var(name).ok())?;
    let until = arguments.until.as_deref().map(Stage::parse).transpose()?;
    PresetName::parse(&arguments.preset)?;
    if arguments.count == 0 || arguments.count > MOST_PAIRS - GROUP as u64 {
        invalid_input!("--count {}: expected 1 to {}", arguments.count, MOST_PAIRS - GROUP as u64);
    }
    outside_of_data(&arguments.out, &arguments.data)?;
    let dataset = Dataset::scan(&arguments.data)?;
    let kinds: Vec<Kind> = dataset.types().map(|(object, found)| Kind::new(&object.name, &found.name)).collect();
    let mut pipeline = Pipeline { arguments, globals, shard, kinds, folder: Folder::new(&arguments.out), times: Vec::new() };
    pipeline.check(&dataset)?;
    pipeline.folder.take(&arguments.settings(globals)?)?;
    let complete = pipeline.stages(until)?;
    if globals.json {
        return output::json(&Outcome { out: arguments.out.clone(), stages: pipeline.times, complete });
    }
    pipeline.summary(complete)
}

struct Pipeline<'a> {
    arguments: &'a Arguments,
    globals: &'a Globals,
    shard: Shard,
    kinds: Vec<Kind>,
    folder: Folder,
    times: Vec<(&'static str, f64)>,
}

impl Pipeline<'_> {
    /// Does what is to be done; whether everything up to `until` is.
    fn stages(&mut self, until: Option<Stage>) -> Result<bool> {
        for stage in Stage::ALL {
            if !self.has(stage) {
                continue;
            }
            if stage.is_divided() {
                if !self.folder.is_done(stage, self.shard) {
                    self.work(stage)?;
                    self.folder.mark(stage, self.shard)?;
                }
            } else if !self.alone(stage)? {
                return Ok(false);
            }
            if until == Some(stage) {
                break;
            }
        }
        Ok(true)
    }

    /// A stage that one process does for all. Before the divided stages the others wait for it; behind them they leave the rest to it.
    fn alone(&mut self, stage: Stage) -> Result<bool> {
        let behind = stage > Stage::Generate;
        if behind && !self.folder.is_complete(Stage::Generate, self.shard) {
            note("this share is done; the process that finishes the last one goes on with filter, evaluate and report");
            return Ok(false);
        }
        let mut waiting = false;
        while !self.folder.is_done(stage, Shard::WHOLE) {
            let Some(_lock) = self.folder.try_lock(stage)? else {
                if behind {
                    note(&format!("another process does the stage {}, and the rest", stage.name()));
                    return Ok(false);
                }
                if !std::mem::replace(&mut waiting, true) {
                    note(&format!("waiting for another process to do the stage {}", stage.name()));
                }
                std::thread::sleep(std::time::Duration::from_millis(300));
                signals::check()?;
                continue;
            };
            // Done by the process that had the lock until now.
            if !self.folder.is_done(stage, Shard::WHOLE) {
                self.work(stage)?;
                self.folder.mark(stage, Shard::WHOLE)?;
            }
        }
        Ok(true)
    }

    /// Does a stage by its command, or several.
    fn work(&mut self, stage: Stage) -> Result<()> {
        signals::check()?;
        let start = Instant::now();
        note(&format!("stage {} of {}: {}", stage as usize + 1, Stage::ALL.len(), stage.name()));
        if stage == Stage::Filter {
            mask_set::join(&self.folder.path().join("masks"), &self.kinds)?;
            Manifest::join(&self.folder.path().join("generated"), &self.kinds)?;
        }
        self.calls(stage).iter().try_for_each(|call| self.command(call))?;
        self.times.push((stage.name(), start.elapsed().as_secs_f64()));
        Ok(())
    }

    fn summary(&self, complete: bool) -> Result<()> {
        let root = self.folder.path();
        for (stage, seconds) in &self.times {
            output::line(format!("{stage:<12} {}", duration(*seconds)))?;
        }
        for (what, name) in [("pairs", "generated"), ("to keep", "filter/keep.txt"), ("results", "evaluation/results.csv"), ("report", "report.html")]
        {
            let path = root.join(name);
            if path.exists() {
                output::line(format!("{what:<12} {}", path.display()))?;
            }
        }
        if complete { Ok(()) } else { output::line("not complete: other shares, or another process, have something left to do") }
    }
}

impl Arguments {
    fn settings<'a>(&'a self, globals: &'a Globals) -> Result<Settings<'a>> {
        const MOST_BYTES: u64 = 1 << 20;
        let config = match &globals.config {
            Some(path) => String::from_utf8_lossy(&files::read_limited(path, MOST_BYTES)?).into_owned(),
            None => String::new(),
        };
        Ok(Settings {
            data: self.data.display().to_string(),
            count: self.count,
            preset: &self.preset,
            masks: &self.masks,
            compare: self.compare,
            model: self.model.as_ref().map_or_else(|| "embedded".to_owned(), |model| model.display().to_string()),
            dtype: &globals.dtype,
            seed: globals.seed,
            config,
        })
    }
}
