//! A folder of generated pairs in MVTec AD layout with its manifest; a killed run goes on where it was.
//!
//! ```text
//! <folder>/<object>/test/<type>/000000.png
//! <folder>/<object>/ground_truth/<type>/000000_mask.png
//! <folder>/manifest.jsonl
//! ```
//!
//! A pair's files are written first, each all or nothing, its line last. Without a line a pair does not count and is made again, to the same bytes.

mod manifest;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::anomaly::learned::Kind;
use crate::anomaly::presets::MOST_BATCH;
use crate::anomaly::shard::Shard;
use crate::data::dataset::check_name;
use crate::error::Result;
use crate::files;
use crate::invalid_input;

pub use manifest::{Entry, Manifest, NAME, read_entries};
pub use writer::{Finished, Writer};

/// Digits of a file's stem: fixed, so that every program sorts them alike.
pub(super) const DIGITS: usize = 6;

/// The most pairs of one type, given by the digits of a stem.
pub const MOST_PAIRS: u64 = 1_000_000;

/// Refuses a number of pairs of a type, or of masks for them, that a folder cannot hold, and batches of none or too many; `flag` sets the size of a batch.
///
/// # Errors
/// Exit code 2.
pub fn check_amounts(count: u64, flag: &str, batch_size: usize) -> Result<()> {
    if count == 0 || count > MOST_PAIRS {
        invalid_input!("--count {count}: expected 1 to {MOST_PAIRS}");
    }
    if batch_size == 0 || batch_size > MOST_BATCH {
        invalid_input!("{flag} {batch_size}: expected 1 to {MOST_BATCH}");
    }
    Ok(())
}

/// Where a pair's files go, relative to the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairPaths {
    /// The image.
    pub image: String,
    /// The mask.
    pub mask: String,
}

impl PairPaths {
    /// The paths of pair `index` of a type.
    pub fn new(kind: &Kind, index: u64) -> Self {
        let Kind { object, defect } = kind;
        Self {
            image: format!("{object}/test/{defect}/{index:0DIGITS$}.png"),
            mask: format!("{object}/ground_truth/{defect}/{index:0DIGITS$}_mask.png"),
        }
    }
}

/// The folder.
#[derive(Debug)]
pub struct GeneratedSet {
    root: PathBuf,
    manifest: Manifest,
}

impl GeneratedSet {
    /// Opens or creates a folder for pairs of a type. Pairs that are there stay; they must come from the same recipe.
    ///
    /// # Errors
    /// When the folder cannot be written, its manifest is damaged, or it holds pairs of this type made with other settings (exit code 2).
    pub fn open(root: &Path, kind: &Kind, recipe: &str, shard: Shard) -> Result<Self> {
        check_name("object", &kind.object)?;
        check_name("type", &kind.defect)?;
        for part in ["test", "ground_truth"] {
            files::create_folder(&root.join(&kind.object).join(part).join(&kind.defect))?;
        }
        let manifest = Manifest::open_share(root, shard)?;
        if let Some(other) = manifest.finished(kind).find(|entry| entry.recipe != recipe) {
            invalid_input!(
                "{} already holds pairs of {kind} made with other settings (seed {}, {} steps, eta {}, guidance {}, coarse noise {}, close-up {}, re-weighting {}, masks {}, recipe {}); \
                 give another --out, or the same settings to go on",
                root.display(),
                other.seed,
                other.steps,
                other.eta,
                other.guidance,
                other.coarse_noise,
                other.close_up,
                other.reweight,
                other.mask_source,
                other.recipe
            );
        }
        Ok(Self { root: root.to_owned(), manifest })
    }

    /// The numbers below `count` that are not finished.
    pub fn missing(&self, kind: &Kind, count: u64) -> Vec<u64> {
        (0..count).filter(|&index| !self.manifest.contains(kind, index)).collect()
    }

    /// The finished pairs of a type.
    pub fn finished(&self, kind: &Kind) -> impl Iterator<Item = &Entry> {
        self.manifest.finished(kind)
    }

    /// Hands the folder to threads that write it.
    pub fn into_writer(self) -> Result<Writer> {
        Writer::start(self.root, self.manifest)
    }
}
