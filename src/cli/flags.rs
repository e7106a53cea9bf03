//! Flags that several commands share, flattened into theirs.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::auto_batch::Division;
use super::numbers;
use crate::data::dataset::Dataset;
use crate::error::Result;
use crate::evaluation::localization::Settings;
use crate::invalid_input;
use crate::training::embeddings::Options;

/// Images, or masks, that are computed together where no flag says otherwise: on two cores each of two images takes a quarter longer than each of four.
pub(super) const IMAGES_TOGETHER: usize = 4;

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
    /// Examples computed together, at most 1024 [default: the preset's]
    #[arg(long, value_name = "N", value_parser = numbers::batch_size, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    /// Batches whose gradients make one step: less memory, same step; at most 1024
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = numbers::accumulate, allow_negative_numbers = true)]
    accumulate: usize,
    /// Steps between checkpoints; one more at the end and on signals
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = numbers::interval_or_none, allow_negative_numbers = true)]
    checkpoint_every: u64,
    /// Steps between validation pictures, 0 for none
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = numbers::interval_or_none, allow_negative_numbers = true)]
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

    /// How a step is divided, by flags and preset.
    pub(super) fn division(&self, preset: usize) -> Division {
        Division { batch_size: self.batch_size(preset), accumulate: self.accumulate }
    }

    /// The same with another division of the steps.
    pub(super) fn divided(self, division: Division) -> Self {
        Self { batch_size: Some(division.batch_size), accumulate: division.accumulate, ..self }
    }

    /// The rest, for the training loop.
    pub(super) fn options(&self) -> Options {
        Options { accumulate: self.accumulate, checkpoint_every: self.checkpoint_every, validate_every: self.validate_every }
    }
}

/// The trainings of the localisation network.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Localizer {
    /// Trainings of each kind, with seeds --seed, --seed + 1, …; at most 1000
    #[arg(long, default_value_t = 1, value_name = "N", allow_negative_numbers = true)]
    seeds: u64,
    /// Side of the localisation network's pictures in pixels, a multiple of 32, at most 2048
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = numbers::side, allow_negative_numbers = true)]
    resolution: usize,
    /// Channels of its first stage; time grows with the square, at most 512
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = numbers::width, allow_negative_numbers = true)]
    width: usize,
    /// Pictures of a step, at most 1024
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = numbers::batch_size, allow_negative_numbers = true)]
    pub(super) batch_size: usize,
    /// Adam's learning rate; it falls to a fifth after 80 % of the steps and again after 90 %
    #[arg(long, default_value_t = 1e-4, value_name = "F", allow_negative_numbers = true, value_parser = numbers::learning_rate)]
    pub(super) learning_rate: f64,
}

impl Localizer {
    /// `--seed` and those that follow it.
    ///
    /// # Errors
    /// An input error for none, very many, or some beyond 2^64.
    pub(super) fn seeds(&self, first: u64) -> Result<Vec<u64>> {
        if self.seeds == 0 || self.seeds > 1000 {
            invalid_input!("--seeds {}: expected 1 to 1000", self.seeds);
        }
        match first.checked_add(self.seeds) {
            Some(last) => Ok((first..last).collect()),
            None => invalid_input!("--seed {first} with --seeds {}: expected seeds below 2^64", self.seeds),
        }
    }

    /// A training of so many steps.
    ///
    /// # Errors
    /// As [`Settings::check`].
    pub(super) fn settings(&self, steps: u64) -> Result<Settings> {
        let &Self { resolution, width, batch_size, learning_rate, .. } = self;
        let settings = Settings { width, resolution, steps, batch: batch_size, learning_rate };
        settings.check()?;
        Ok(settings)
    }
}
