//! The stages, and how the folder of a pipeline remembers which are done.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::anomaly::shard::Shard;
use crate::error::{Context, Result};
use crate::training::run_folder::FolderLock;
use crate::{files, invalid_input};

/// The file of the settings.
const SETTINGS: &str = "pipeline.toml";
/// The folder of marks and locks.
const MARKS: &str = "stages";
/// The settings may have this many bytes.
const MOST_BYTES: u64 = 4 << 20;

/// In the order in which they are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Check,
    Train,
    TrainMasks,
    Masks,
    Generate,
    Filter,
    Evaluate,
    Report,
}

impl Stage {
    pub(super) const ALL: [Self; 8] =
        [Self::Check, Self::Train, Self::TrainMasks, Self::Masks, Self::Generate, Self::Filter, Self::Evaluate, Self::Report];

    /// The name of its command.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Train => "train",
            Self::TrainMasks => "train-masks",
            Self::Masks => "masks",
            Self::Generate => "generate",
            Self::Filter => "filter",
            Self::Evaluate => "evaluate",
            Self::Report => "report",
        }
    }

    /// Reads a name.
    pub(super) fn parse(text: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|stage| stage.name() == text) {
            Some(stage) => Ok(stage),
            None => invalid_input!("--until {text}: expected one of {}", Self::ALL.map(Self::name).join(", ")),
        }
    }

    /// Whether it computes with the base model.
    pub(super) fn takes_model(self) -> bool {
        !matches!(self, Self::Check | Self::Evaluate | Self::Report)
    }

    /// Whether processes divide it among themselves.
    pub(super) fn is_divided(self) -> bool {
        matches!(self, Self::Masks | Self::Generate)
    }
}

/// The folder of a pipeline.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at this path, as yet untouched.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Takes the folder, new or of a pipeline with the same settings, and writes the settings into it.
    ///
    /// # Errors
    /// When it is of a pipeline with other settings, holds something else, or cannot be written (exit code 2).
    pub(super) fn take(&self, settings: &impl Serialize) -> Result<()> {
        let path = &self.path;
        let (file, text) = (path.join(SETTINGS), toml::to_string(settings)?);
        files::create_folder(path)?;
        if file.is_file() {
            self.compare(&file, &text)?;
        } else if fs::read_dir(path).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| !files::is_temporary(&entry.file_name()))))
            && !file.is_file()
        {
            invalid_input!("the folder {} is not empty and holds no pipeline (there is no {SETTINGS} in it); choose another --out", path.display());
        } else {
            files::write_bytes_atomic(&file, text.as_bytes())?;
        }
        files::create_folder(&path.join(MARKS))
    }

    fn compare(&self, file: &Path, text: &str) -> Result<()> {
        let found = String::from_utf8_lossy(&files::read_limited(file, MOST_BYTES)?).into_owned();
        let table = |text: &str| text.parse::<toml::Table>().with_context(|| file.display().to_string());
        let (expected, found) = (table(text)?, table(&found)?);
        let differing: Vec<String> = expected
            .iter()
            .filter(|(key, value)| found.get(*key) != Some(value))
            .map(|(key, value)| format!("{key}: now {value}, before {}", found.get(key).map_or_else(|| "nothing".to_owned(), ToString::to_string)))
            .collect();
        if !differing.is_empty() {
            invalid_input!(
                "the folder {} is of a pipeline with other settings ({}); give the same to go on, or another --out",
                self.path.display(),
                differing.join("; ")
            );
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn mark_of(&self, stage: Stage, shard: Shard) -> PathBuf {
        self.path.join(MARKS).join(format!("{}{}.done", stage.name(), shard.suffix()))
    }

    /// Whether a share of a stage is done, or all of it.
    pub(super) fn is_done(&self, stage: Stage, shard: Shard) -> bool {
        self.mark_of(stage, shard).is_file() || self.mark_of(stage, Shard::WHOLE).is_file()
    }

    /// Whether all shares of a stage are done, when `shard` is one of them.
    pub(super) fn is_complete(&self, stage: Stage, shard: Shard) -> bool {
        shard.all().all(|shard| self.is_done(stage, shard))
    }

    /// Remembers that a share of a stage is done.
    pub(super) fn mark(&self, stage: Stage, shard: Shard) -> Result<()> {
        files::write_bytes_atomic(&self.mark_of(stage, shard), b"")
    }

    /// The right to do a stage; `None` while another process has it.
    pub(super) fn try_lock(&self, stage: Stage) -> Result<Option<FolderLock>> {
        FolderLock::try_acquire(&self.path.join(MARKS), &format!("-{}", stage.name()))
    }
}
