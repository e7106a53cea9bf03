//! The stages as commands of this program. All of them are parsed and checked before the first one begins.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::Parser;

use super::stages::Stage;
use super::{Arguments, Pipeline};
use crate::anomaly::learned::Kind;
use crate::anomaly::places;
use crate::anomaly::presets::{GROUP, PresetName};
use crate::cli::{Cli, Command, Globals, config_file};
use crate::data::dataset::Dataset;
use crate::error::{Context, Result};
use crate::{input_error, invalid_input};

/// A command with the flags that the pipeline sets; an empty value is a flag without one.
pub(super) struct Call {
    name: &'static str,
    flags: Vec<(&'static str, OsString)>,
}

impl Call {
    fn new(stage: Stage, arguments: &Arguments, globals: &Globals, own: &[(&'static str, &OsStr)]) -> Self {
        let seed = globals.seed.to_string();
        let mut flags: Vec<(&str, OsString)> =
            vec![("--device", (&globals.device).into()), ("--dtype", (&globals.dtype).into()), ("--seed", seed.into())];
        flags.push(("--data", (&arguments.data).into()));
        flags.extend(arguments.model.iter().filter(|_| stage.takes_model()).map(|model| ("--model", model.into())));
        flags.extend(own.iter().map(|&(flag, value)| (flag, value.to_owned())));
        Self { name: stage.name(), flags }
    }

    /// Refuses values of the command's own table that the pipeline's flags would take the place of, or that the other stages would not know.
    fn check_table(&self, config: &Path) -> Result<()> {
        for (key, value) in config_file::own(config, self.name)? {
            let Some(word) = config_file::word(&key, &value)? else { continue };
            let set = self.flags.iter().find(|(flag, _)| flag.strip_prefix("--") == Some(&key));
            match set {
                Some((flag, text)) if word != joined(flag, text) => {
                    let given = joined(flag, text);
                    invalid_input!("{key} = {value}, but the pipeline itself gives this stage {}; take {key} out of the table", given.display())
                }
                None if key == "model" => invalid_input!("model = {value}: all stages have the same base model; give it to the pipeline as --model"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The flag as one word.
fn joined(flag: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(flag);
    if !value.is_empty() {
        word.push("=");
        word.push(value);
    }
    word
}

impl Pipeline<'_> {
    /// Whether a stage is one of this pipeline's.
    pub(super) fn has(&self, stage: Stage) -> bool {
        stage != Stage::TrainMasks || self.arguments.masks == "learned"
    }

    /// Refuses what would end a stage that is yet to do before its work began. Nothing is written.
    ///
    /// # Errors
    /// The first such setting, with its stage (exit code 2).
    pub(super) fn check(&self, dataset: &Dataset) -> Result<()> {
        let preset = PresetName::parse(&self.arguments.preset)?;
        self.kinds.iter().try_for_each(|kind| places::find(dataset, kind).map(drop))?;
        for stage in Stage::ALL.into_iter().filter(|&stage| self.has(stage) && !self.folder.is_done(stage, self.shard)) {
            let calls = self.calls(stage);
            let check = || -> Result<()> {
                if let Some(config) = &self.globals.config {
                    calls.iter().try_for_each(|call| call.check_table(config))?;
                }
                // The calls of a stage differ in the type alone.
                calls.first().map_or(Ok(()), |call| self.check_command(&self.parse(call)?.command, preset))
            };
            check().with_context(|| self.place(stage.name()))?;
        }
        Ok(())
    }

    fn check_command(&self, command: &Command, preset: PresetName) -> Result<()> {
        let selected = match command {
            Command::Train(arguments) => arguments.check()?.dataset,
            Command::TrainMasks(arguments) => arguments.check()?.dataset,
            Command::Masks(arguments) => arguments.check(preset)?.dataset,
            Command::Generate(arguments) => return arguments.check(preset).map(drop),
            Command::Filter(arguments) => return arguments.check().map(drop),
            Command::Evaluate(arguments) => return arguments.check(self.globals.seed).map(drop),
            Command::Report(arguments) => return arguments.check(),
            _ => return Ok(()),
        };
        let is_selected = |object: &str, defect: &str| selected.types().any(|(other, found)| other.name == object && found.name == defect);
        match self.kinds.iter().find(|kind| !is_selected(&kind.object, &kind.defect)) {
            Some(kind) => invalid_input!("--objects or --types leave out {kind}, but every type of the data set gets pairs; take them out"),
            None => Ok(()),
        }
    }

    /// The commands of a stage.
    pub(super) fn calls(&self, stage: Stage) -> Vec<Call> {
        let arguments = self.arguments;
        let out = |name: &str| self.folder.path().join(name).into_os_string();
        let (run, masks, generated, filter, evaluation) = (out("run"), out("masks"), out("generated"), out("filter"), out("evaluation"));
        let (keep, share, count) = (out("filter/keep.txt"), self.shard.to_string(), arguments.count.to_string());
        let preset = ("--preset", OsStr::new(&arguments.preset));
        let call = |own: &[(&'static str, &OsStr)]| Call::new(stage, arguments, self.globals, own);
        match stage {
            Stage::Check => vec![call(&[preset])],
            Stage::Train | Stage::TrainMasks => vec![call(&[preset, ("--out", &run), ("--resume", OsStr::new(""))])],
            Stage::Masks => {
                // Whole blocks: a preset may look at the masks of a block together.
                let count = arguments.count.next_multiple_of(GROUP as u64).to_string();
                let source = ("--source", arguments.masks.as_ref());
                vec![call(&[("--learned", &run), ("--out", &masks), ("--count", count.as_ref()), source, ("--shard", share.as_ref())])]
            }
            Stage::Generate => {
                let of_type = |kind: &Kind| {
                    call(&[
                        ("--learned", &run),
                        ("--object", kind.object.as_ref()),
                        ("--type", kind.defect.as_ref()),
                        ("--count", count.as_ref()),
                        ("--masks", &masks),
                        ("--out", &generated),
                        ("--shard", share.as_ref()),
                    ])
                };
                self.kinds.iter().map(of_type).collect()
            }
            Stage::Filter => vec![call(&[("--generated", &generated), ("--out", &filter)])],
            Stage::Evaluate => {
                let mut own: Vec<(&str, &OsStr)> = vec![("--generated", &generated), ("--keep", &keep), ("--out", &evaluation)];
                own.extend(arguments.compare.then_some(("--compare", OsStr::new(""))));
                vec![call(&own)]
            }
            Stage::Report => vec![call(&[("--", self.folder.path().as_os_str())])],
        }
    }

    /// Does a command.
    pub(super) fn command(&self, call: &Call) -> Result<()> {
        let run = || {
            let cli = self.parse(call)?;
            crate::cli::run(&cli.command, &Globals { json: self.globals.json, ..cli.globals })
        };
        run().with_context(|| self.place(call.name))
    }

    /// A command with the values of the configuration file before the pipeline's flags.
    fn parse(&self, call: &Call) -> Result<Cli> {
        let mut words: Vec<OsString> = vec!["anodiff".into(), call.name.into()];
        if let Some(config) = &self.globals.config {
            words.extend(["--config".into(), config.into()]);
        }
        for (flag, value) in &call.flags {
            words.push(flag.into());
            words.extend((!value.is_empty()).then(|| value.clone()));
        }
        Cli::try_parse_from(config_file::expand(words)?).map_err(|error| input_error!("{}", sentence(&error)))
    }

    /// A stage, and where its settings are, for errors.
    fn place(&self, name: &str) -> String {
        match &self.globals.config {
            Some(config) => format!("the stage {name}, table [{name}] of {}", config.display()),
            None => format!("the stage {name}"),
        }
    }
}

/// What clap says of a wrong flag, without the command's usage.
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.trim_start_matches("error: ");
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
