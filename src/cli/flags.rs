//! Flags that several commands share, flattened into theirs.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use crate::data::dataset::Dataset;
use crate::error::Result;
use crate::invalid_input;
use crate::training::embeddings::Options;

/// The part of a data set that a command is about.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Selection {
    /// Objects, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<String>>,
    /// Defect types, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<Vec<String>>,
}

impl Selection {
    /// The part of the data set in `root`.
    ///
    /// # Errors
    /// An input error for a folder that is no data set, and for names that it lacks.
    pub(super) fn scan(&self, root: &Path) -> Result<Dataset> {
        Dataset::scan(root)?.select(self.objects.as_deref(), self.types.as_deref())
    }
}

/// How a training of embeddings goes on, and what it leaves on the way.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Course {
    /// Examples computed together [default: the preset's]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    /// Batches whose gradients make one step: less memory, same step
    #[arg(long, default_value_t = 1, value_name = "N")]
    accumulate: usize,
    /// Steps between checkpoints; one more at the end and on signals
    #[arg(long, default_value_t = 500, value_name = "N")]
    checkpoint_every: u64,
    /// Steps between validation pictures, 0 for none
    #[arg(long, default_value_t = 500, value_name = "N")]
    validate_every: u64,
    /// Go on with the run in --out; the result is bit by bit that of a run without interruption
    #[arg(long)]
    #[serde(skip)]
    pub(super) resume: bool,
}

impl Course {
    /// `--batch-size`, or the preset's.
    pub(super) fn batch_size(&self, preset: usize) -> usize {
        self.batch_size.unwrap_or(preset)
    }

    /// The rest, for the training loop.
    ///
    /// # Errors
    /// An input error where no batch would make a step.
    pub(super) fn options(&self) -> Result<Options> {
        if self.accumulate == 0 {
            invalid_input!("--accumulate 0: expected at least 1");
        }
        Ok(Options { accumulate: self.accumulate, checkpoint_every: self.checkpoint_every, validate_every: self.validate_every })
    }
}
