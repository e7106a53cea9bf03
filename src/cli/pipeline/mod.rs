//! `anodiff pipeline`: the whole experiment on a data set, stage by stage; each stage is a command of its own.

mod stages;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Parser};
use serde::Serialize;

use super::folders::outside_of_data;
use super::{Cli, Globals, config_file, output};
use crate::anomaly::generated_set::{MOST_PAIRS, Manifest};
use crate::anomaly::learned::Kind;
use crate::anomaly::mask_set;
use crate::anomaly::presets::{GROUP, PresetName};
use crate::anomaly::shard::Shard;
use crate::data::dataset::Dataset;
use crate::error::{Context, Result};
use crate::training::progress::{duration, note};
use crate::training::signals;
use crate::{files, invalid_input};
use stages::{Folder, Stage};

/// The command's flags.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Stages: check, train, train-masks, masks, generate (every type), filter, evaluate, report. Each is the command of its name; --config FILE gives\n\
    it the values of its own table, as in [train] steps = 1000. A stage that is done is not done again; an interrupted one goes on where it was.\n\n\
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
    let folder = Folder::open(&arguments.out, &arguments.settings(globals)?)?;
    signals::install()?;
    let mut pipeline = Pipeline { arguments, globals, shard, kinds, folder, times: Vec::new() };
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
            if stage == Stage::TrainMasks && self.arguments.masks != "learned" {
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
        let out = |name: &str| self.folder.path().join(name);
        match stage {
            Stage::Check => self.command("check", &[("--preset", self.arguments.preset.as_ref())])?,
            Stage::Train => {
                self.command("train", &[("--preset", self.arguments.preset.as_ref()), ("--out", &out("run")), ("--resume", Path::new(""))])?
            }
            Stage::TrainMasks => {
                self.command("train-masks", &[("--preset", self.arguments.preset.as_ref()), ("--out", &out("run")), ("--resume", Path::new(""))])?;
            }
            Stage::Masks => {
                // Whole blocks: a preset may look at the masks of a block together.
                let count = self.arguments.count.next_multiple_of(GROUP as u64).to_string();
                let source: &Path = self.arguments.masks.as_ref();
                let share = self.share();
                self.command(
                    "masks",
                    &[
                        ("--learned", &out("run")),
                        ("--out", &out("masks")),
                        ("--count", count.as_ref()),
                        ("--source", source),
                        ("--shard", share.as_ref()),
                    ],
                )?;
            }
            Stage::Generate => self.generate()?,
            Stage::Filter => {
                mask_set::join(&out("masks"), &self.kinds)?;
                Manifest::join(&out("generated"), &self.kinds)?;
                self.command("filter", &[("--generated", &out("generated")), ("--out", &out("filter"))])?;
            }
            Stage::Evaluate => {
                let mut flags: Vec<(&str, PathBuf)> =
                    vec![("--generated", out("generated")), ("--keep", out("filter/keep.txt")), ("--out", out("evaluation"))];
                if self.arguments.compare {
                    flags.push(("--compare", PathBuf::new()));
                }
                self.command("evaluate", &flags.iter().map(|(flag, value)| (*flag, value.as_path())).collect::<Vec<_>>())?;
            }
            Stage::Report => self.command("report", &[("--", self.folder.path())])?,
        }
        self.times.push((stage.name(), start.elapsed().as_secs_f64()));
        Ok(())
    }

    fn generate(&self) -> Result<()> {
        let (count, share) = (self.arguments.count.to_string(), self.share());
        let out = |name: &str| self.folder.path().join(name);
        for kind in &self.kinds {
            self.command(
                "generate",
                &[
                    ("--learned", &out("run")),
                    ("--object", kind.object.as_ref()),
                    ("--type", kind.defect.as_ref()),
                    ("--count", count.as_ref()),
                    ("--masks", &out("masks")),
                    ("--out", &out("generated")),
                    ("--shard", share.as_ref()),
                ],
            )?;
        }
        Ok(())
    }

    fn share(&self) -> String {
        self.shard.to_string()
    }

    /// Runs a command of this program, with the values of the configuration file before the flags; an empty value is a flag without one.
    fn command(&self, name: &str, flags: &[(&str, &Path)]) -> Result<()> {
        let globals = self.globals;
        let mut words: Vec<OsString> = vec!["anodiff".into(), name.into()];
        if let Some(config) = &globals.config {
            words.extend(["--config".into(), config.into()]);
        }
        let seed = globals.seed.to_string();
        for (flag, value) in [("--device", &globals.device), ("--dtype", &globals.dtype), ("--seed", &seed)] {
            words.extend([flag.into(), value.into()]);
        }
        words.extend(["--data".into(), (&self.arguments.data).into()]);
        if let (Some(model), true) = (&self.arguments.model, !["check", "evaluate", "report"].contains(&name)) {
            words.extend(["--model".into(), model.into()]);
        }
        for (flag, value) in flags {
            words.push(flag.into());
            words.extend((!value.as_os_str().is_empty()).then(|| value.into()));
        }
        let parsed = Cli::try_parse_from(config_file::expand(words)?);
        let cli = parsed.map_err(|error| crate::input_error!("the stage {name}: {}", error.to_string().trim()))?;
        super::run(&cli.command, &Globals { json: globals.json, ..cli.globals }).with_context(|| format!("the stage {name}"))
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
