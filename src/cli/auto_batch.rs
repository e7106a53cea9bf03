//! `train --auto-batch`: as many examples at once as fit into the memory that is left. What is more waits for the next batch of the same step.

use std::path::Path;

use super::memory::{gigabytes, left, wanted};
use crate::anomaly::presets::MOST_ACCUMULATE;
use crate::device::Device;
use crate::error::Result;
use crate::files;
use crate::nn::Placement;
use crate::training::embeddings::Growth;
use crate::training::progress::note;
use crate::training::run_folder::CONFIG;
use crate::{input_error, invalid_input};

/// The part of what is left that a training may count on: estimates are a few per cent off, and other programs live, too.
const SHARE: f64 = 0.9;
/// A run's config.toml has a few hundred bytes.
const LARGEST_CONFIG: u64 = 1 << 20;

/// How the examples of a step are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// Examples computed together.
    pub(super) batch_size: usize,
    /// Batches of a step.
    pub(super) accumulate: usize,
}

impl Division {
    /// That of the run that was begun in a folder: it goes on as it began, whatever is free now. `None` where no run was begun.
    ///
    /// # Errors
    /// When the run's settings cannot be read (exit code 2).
    pub(super) fn recorded(run: &Path) -> Result<Option<Self>> {
        let path = run.join(CONFIG);
        if !path.is_file() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&files::read_limited(&path, LARGEST_CONFIG)?).into_owned();
        let settings: toml::Table = text.parse().map_err(|error| input_error!("{}: {error}", path.display()))?;
        let number = |name: &str| settings.get("train")?.get(name)?.as_integer().and_then(|number| usize::try_from(number).ok());
        Ok(number("batch-size").zip(number("accumulate")).map(|(batch_size, accumulate)| Self { batch_size, accumulate }))
    }

    /// The same step in the largest batches that fit where the training computes; says which.
    ///
    /// # Errors
    /// When not even one example at a time fits, or the system does not say what is left (exit code 2).
    pub(super) fn fitting(self, growth: &Growth, placement: Placement) -> Result<Self> {
        let Some(left) = left(placement.device)? else {
            invalid_input!("--auto-batch: this system does not say how much memory is free; give --batch-size");
        };
        let on_cpu = matches!(placement.device, Device::Cpu);
        let total = |division: &Self| wanted(&growth.of_batch(division.batch_size, division.accumulate), on_cpu);
        let Some(division) = self.others().find(|division| total(division) as f64 <= SHARE * left as f64) else {
            invalid_input!(
                "--auto-batch: about {:.2} GB of memory wanted for one example at a time, {:.2} GB are free; take a smaller --resolution",
                gigabytes(total(&Self { batch_size: 1, ..self })),
                gigabytes(left)
            );
        };
        let Self { batch_size, accumulate } = division;
        if accumulate > MOST_ACCUMULATE {
            invalid_input!(
                "--auto-batch: {accumulate} batches of {batch_size} to a step, expected at most {MOST_ACCUMULATE}: take a smaller --batch-size"
            );
        }
        note(&format!(
            "batches of {batch_size} example(s), {accumulate} to a step: about {:.2} GB of memory, {:.2} GB are free",
            gigabytes(total(&division)),
            gigabytes(left)
        ));
        Ok(division)
    }

    /// This division and all finer ones of the same step, the largest batches first.
    fn others(self) -> impl Iterator<Item = Self> {
        let Self { batch_size: whole, accumulate } = self;
        let divisors = (1..=whole).rev().filter(move |batch_size| whole.is_multiple_of(*batch_size));
        divisors.map(move |batch_size| Self { batch_size, accumulate: accumulate * (whole / batch_size) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_division_makes_the_same_step() {
        let found: Vec<[usize; 2]> = Division { batch_size: 12, accumulate: 2 }.others().map(|one| [one.batch_size, one.accumulate]).collect();
        assert_eq!(found, [[12, 2], [6, 4], [4, 6], [3, 8], [2, 12], [1, 24]]);
    }

    #[test]
    fn a_run_goes_on_in_the_batches_that_it_began_with() {
        let folder = tempfile::tempdir().unwrap();
        let recorded = |text: &str| {
            fs::write(folder.path().join(CONFIG), text).unwrap();
            Division::recorded(folder.path())
        };
        assert_eq!(Division::recorded(folder.path()).unwrap(), None);
        let expected = Division { batch_size: 2, accumulate: 4 };
        assert_eq!(recorded("seed = 0\n[train]\nbatch-size = 2\naccumulate = 4\n").unwrap(), Some(expected));
        assert_eq!(recorded("seed = 0\n[train]\naccumulate = 4\n").unwrap(), None);
        assert_eq!(recorded("[train]\nbatch-size = -2\naccumulate = 4\n").unwrap(), None);
        assert!(recorded("[train\n").unwrap_err().to_string().contains(CONFIG));
    }
}
