//! Where a run's numbers and pictures go: the JSON-lines log and TensorBoard together.

use std::path::Path;

use crate::error::Result;
use crate::training::log::Log;
use crate::training::tensorboard::{EventFile, Picture};

/// Collects entries until they are committed, so that what was interrupted half way leaves no trace and is recorded once when it is done again.
pub struct Recorder {
    log: Log,
    events: EventFile,
    pending: Vec<Entry>,
}

enum Entry {
    Scalars { step: u64, kind: String, values: Vec<(String, f64)> },
    Image { step: u64, tag: String, png: Vec<u8>, width: usize, height: usize },
    Timing { step: u64, tag: String, value: f64 },
}

impl Recorder {
    /// Opens both files of a run folder, cut back to `step`, the one that the run goes on from.
    pub fn open(folder: &Path, step: u64) -> Result<Self> {
        Ok(Self { log: Log::open(folder, step)?, events: EventFile::open(folder, step)?, pending: Vec::new() })
    }

    /// Numbers of one step: one line of the log, one TensorBoard tag `kind/name` each. `kind` is "train", "validation", …
    pub fn scalars(&mut self, step: u64, kind: &str, values: Vec<(String, f64)>) {
        self.pending.push(Entry::Scalars { step, kind: kind.to_owned(), values });
    }

    /// A picture for TensorBoard under `tag`.
    pub fn image(&mut self, step: u64, tag: &str, picture: &Picture<'_>) {
        let Picture { png, width, height } = *picture;
        self.pending.push(Entry::Image { step, tag: tag.to_owned(), png: png.to_vec(), width, height });
    }

    /// A number that depends on the clock: for TensorBoard alone, because the log is the same however often a run was interrupted.
    pub fn timing(&mut self, step: u64, tag: &str, value: f64) {
        self.pending.push(Entry::Timing { step, tag: tag.to_owned(), value });
    }

    /// Writes what was collected.
    pub fn commit(&mut self) -> Result<()> {
        for entry in std::mem::take(&mut self.pending) {
            match entry {
                Entry::Scalars { step, kind, values } => {
                    self.log.write(step, &kind, &values)?;
                    for (name, value) in &values {
                        self.events.scalar(step, &format!("{kind}/{name}"), *value)?;
                    }
                }
                Entry::Image { step, tag, png, width, height } => self.events.image(step, &tag, &Picture { png: &png, width, height })?,
                Entry::Timing { step, tag, value } => self.events.scalar(step, &tag, value)?,
            }
        }
        Ok(())
    }

    /// Forgets what was collected.
    pub fn discard(&mut self) {
        self.pending.clear();
    }

    /// Brings the log to the disk.
    pub fn sync(&self) -> Result<()> {
        self.log.sync()
    }
}
