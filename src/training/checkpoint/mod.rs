//! The state of a run in one safetensors file, so safe that a run can be killed at any moment.
//!
//! A new checkpoint is written under a third name, synced, read back and compared with its checksum; only then the last one becomes
//! `checkpoint.previous.safetensors` and the new one `checkpoint.safetensors`. Tensors are in the engine's layout, so that saving copies nothing.

mod format;
mod identity;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

pub use identity::Identity;

use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::files;
use crate::tensor::Tensor;
use crate::training::progress::note;
use crate::{input_error, invalid_input};

/// The newest checkpoint of a run folder.
pub const CURRENT: &str = "checkpoint.safetensors";
/// The one before it.
pub const PREVIOUS: &str = "checkpoint.previous.safetensors";
/// A new one until it is verified.
const CANDIDATE: &str = "checkpoint.new.safetensors";

/// What the metadata calls the format, and its version. A version that is not this one is refused by name.
const FORMAT: &str = "anodiff checkpoint";
const VERSION: &str = "1";

/// A run's whole state after some step.
#[derive(Debug)]
pub struct Checkpoint {
    /// Optimiser steps done.
    pub step: u64,
    /// What the state belongs to.
    pub identity: Identity,
    /// Small state of the loop itself, as text.
    pub notes: BTreeMap<String, String>,
    /// Parameters, optimiser moments, averages: by unique names.
    pub tensors: Vec<(String, Tensor)>,
}

impl Checkpoint {
    /// Makes this the newest checkpoint of `folder`. Whatever goes wrong, the folder holds at least one valid checkpoint if it did before.
    ///
    /// # Errors
    /// A full or unwritable disk is the user's to correct (exit code 2); a file that reads back wrong is an error, and the last one is kept.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let entries = [
            ("format", FORMAT.to_owned()),
            ("version", VERSION.to_owned()),
            ("step", self.step.to_string()),
            ("identity", serde_json::to_string(&self.identity)?),
            ("notes", serde_json::to_string(&self.notes)?),
        ];
        let (candidate, current) = (folder.join(CANDIDATE), folder.join(CURRENT));
        format::write(&candidate, &entries, &self.tensors)?;
        if let Err(error) = format::verify(&candidate) {
            let _ = fs::remove_file(&candidate);
            return Err(error.context(format!("{} read back otherwise than it was written; check the disk", candidate.display())));
        }
        let moved = keep(&current, &folder.join(PREVIOUS)).and_then(|()| files::rename(&candidate, &current));
        moved.map_err(|error| input_error!("cannot replace {}: {error}; the checkpoint is in {CANDIDATE}", current.display()))
    }

    /// The newest valid checkpoint of `folder`; `None` when there has never been one. Falls back to the previous one, and says so.
    ///
    /// # Errors
    /// When there are files but none is valid (exit code 2).
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let mut refused = Vec::new();
        for name in [CURRENT, PREVIOUS] {
            let path = folder.join(name);
            if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                continue;
            }
            match Self::read(&path) {
                Ok(checkpoint) => {
                    if !refused.is_empty() {
                        note(&format!("{}; going on from {name}, step {}", refused.join("; "), checkpoint.step));
                    }
                    return Ok(Some(checkpoint));
                }
                Err(error) => refused.push(format!("cannot use {}: {error:#}", path.display())),
            }
        }
        if refused.is_empty() {
            return Ok(None);
        }
        invalid_input!("{}; no valid checkpoint is left, start anew with another --out", refused.join("; "))
    }

    /// Reads one file.
    ///
    /// # Errors
    /// When it is truncated, damaged, foreign, or of another format version.
    pub fn read(path: &Path) -> Result<Self> {
        let content = format::read(path)?;
        let metadata = content.metadata.metadata().clone().unwrap_or_default();
        let entry = |name: &str| metadata.get(name).ok_or_else(|| anyhow!("its metadata has no entry {name}"));
        let (format, version) = (entry("format")?, entry("version")?);
        ensure!(format == FORMAT && version == VERSION, "it is of format {format} {version}, expected {FORMAT} {VERSION}");
        Ok(Self {
            step: entry("step")?.parse().context("its step is no number")?,
            identity: serde_json::from_str(entry("identity")?).context("its identity does not parse")?,
            notes: serde_json::from_str(entry("notes")?).context("its notes do not parse")?,
            tensors: content.tensors,
        })
    }

    /// Hands the tensors out one by one.
    pub fn into_tensors(self) -> Tensors {
        Tensors { tensors: self.tensors.into_iter().collect() }
    }
}

/// A checkpoint's tensors, each of which has one taker.
#[derive(Debug)]
pub struct Tensors {
    tensors: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// The tensor `name`, which must have `shape`.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(tensor) = self.tensors.remove(name) else { bail!("the checkpoint has no {name}, expected shape {shape:?}") };
        ensure!(tensor.shape() == shape, "{name} has shape {:?} in the checkpoint, expected {shape:?}", tensor.shape());
        Ok(tensor)
    }

    /// Refuses a checkpoint with tensors that nobody took.
    pub fn finish(self) -> Result<()> {
        match self.tensors.keys().next() {
            None => Ok(()),
            Some(name) => bail!("the checkpoint has {} tensors that this run does not know, the first is {name}", self.tensors.len()),
        }
    }
}

/// Gives the present checkpoint its second name. A link, so that there is no moment without a current one; file systems without links rename.
fn keep(current: &Path, previous: &Path) -> io::Result<()> {
    if !current.exists() {
        return Ok(());
    }
    let link = previous.with_file_name(".checkpoint.previous.tmp");
    remove_if_present(&link)?;
    match fs::hard_link(current, &link) {
        Ok(()) => {
            fs::rename(&link, previous)?;
            // Renaming a link onto one of the same file does nothing, not even remove it; that is so when a run was killed between two renames.
            remove_if_present(&link)
        }
        Err(_) => fs::rename(current, previous),
    }
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
