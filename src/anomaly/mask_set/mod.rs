//! A folder of masks made ahead, with a line each that says how it came about.
//!
//! ```text
//! <folder>/<object>/<type>/000000.png     8 bits, 0 and 255
//! <folder>/masks.jsonl                    parts masks-<i>-of-<n>.jsonl while a divided run is under way
//! ```
//!
//! A mask's file is written first, its line last: without a line it does not count and is made again, to the same bytes.

mod production;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::anomaly::learned::Kind;
use crate::data::json_lines::{self, JsonLines};
use crate::data::mask_rules::Fault;
use crate::error::Result;
use crate::{files, input_error};

pub use production::{Acceptance, MaskObserver, MaskOrder, produce_masks};

/// The name of the file of lines.
pub const MASKS: &str = "masks.jsonl";
/// What the names of that file and of its parts begin with.
const STEM: &str = "masks";

/// A finished mask. Paths use `/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskEntry {
    /// Its file, relative to the folder.
    pub mask: String,
    /// The object's name.
    pub object: String,
    /// The type's name.
    #[serde(rename = "type")]
    pub defect: String,
    /// Its number within the type, that of the image that it is for.
    pub index: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Where it came from: `learned`, `real`, `scattered`, `procedural`, or a file's name. `real` in a run of learned masks where none was usable.
    pub source: String,
    /// What was wrong with those drawn before it.
    pub rejected: Vec<Fault>,
    /// Pixels set.
    pub area: usize,
    /// Digest of everything that the masks depend on.
    pub recipe: String,
}

impl MaskEntry {
    fn kind(&self) -> Kind {
        Kind::new(&self.object, &self.defect)
    }
}

/// Whether a folder holds masks that were made ahead.
pub fn is_one(folder: &Path) -> bool {
    json_lines::parts(folder, STEM).is_ok_and(|parts| !parts.is_empty())
}

/// The finished masks of a type by number, those of other parts of a divided run included.
///
/// # Errors
/// When a file cannot be read, or a line is no entry (exit code 2).
pub fn entries(folder: &Path, kind: &Kind) -> Result<BTreeMap<u64, MaskEntry>> {
    let mut found = BTreeMap::new();
    for part in json_lines::parts(folder, STEM)? {
        let own = JsonLines::read::<MaskEntry>(&part)?.into_iter().filter(|entry| entry.kind() == *kind);
        found.extend(own.map(|entry| (entry.index, entry)));
    }
    Ok(found)
}

/// Joins the parts of a divided run to one file, in the order of `kinds` and of numbers, as a run that was not divided writes it. Only when no
/// process appends any more.
pub fn join(folder: &Path, kinds: &[Kind]) -> Result<()> {
    let whole = folder.join(MASKS);
    let parts = json_lines::parts(folder, STEM)?;
    if parts.iter().all(|part| *part == whole) {
        return Ok(());
    }
    let mut lines = Vec::new();
    for kind in kinds {
        lines.extend(entries(folder, kind)?.into_values());
    }
    files::write_bytes_atomic(&whole, &json_lines::to_lines(&lines)?)?;
    for part in parts.iter().filter(|part| **part != whole) {
        std::fs::remove_file(part).map_err(|error| input_error!("cannot remove {}: {error}", part.display()))?;
    }
    Ok(())
}
