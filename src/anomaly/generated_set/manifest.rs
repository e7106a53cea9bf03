//! `manifest.jsonl`: one line per finished pair.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::anomaly::learned::Kind;
use crate::anomaly::presets::whole_picture;
use crate::anomaly::shard::Shard;
use crate::data::json_lines::{self, JsonLines};
use crate::error::Result;
use crate::files;
use crate::{input_error, invalid_input};

/// The manifest's name in the folder.
pub const NAME: &str = "manifest.jsonl";
/// What the names of a manifest and of its parts begin with.
const STEM: &str = "manifest";

/// A finished pair. Paths use `/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The image's file, relative to the folder.
    pub image: String,
    /// The mask's file, relative to the folder.
    pub mask: String,
    /// The normal image, relative to the data set's root.
    pub normal: String,
    /// The object's name.
    pub object: String,
    /// The type's name.
    #[serde(rename = "type")]
    pub defect: String,
    /// Number of the pair within its type; with the seed it names the pair's random numbers.
    pub index: u64,
    /// Seed of the run.
    pub seed: u64,
    /// The prompt template.
    pub template: String,
    /// Where the mask came from: `learned`, `real`, `scattered`, `procedural`, or the file's name.
    pub mask_source: String,
    /// DDIM steps.
    pub steps: usize,
    /// DDIM's eta.
    pub eta: f64,
    /// Guidance scale.
    pub guidance: f64,
    /// Share of the starting noise's coarse part inside the mask.
    pub coarse_noise: f64,
    /// How many times the defect was magnified at most while it was drawn; 1 where a line does not say.
    #[serde(default = "whole_picture")]
    pub close_up: f64,
    /// Re-weighting mode.
    pub reweight: String,
    /// Digest of the learned file and of every setting that the images depend on.
    pub recipe: String,
}

impl Entry {
    /// The pair's type.
    pub fn kind(&self) -> Kind {
        Kind::new(&self.object, &self.defect)
    }

    /// Refuses paths that lead out of the folder of the pairs or out of the data set; `folder` is the former.
    ///
    /// # Errors
    /// When one of them is absolute or has `.` or `..` in it (exit code 2).
    pub fn check_paths(&self, folder: &Path) -> Result<()> {
        for path in [&self.image, &self.mask, &self.normal] {
            let inside = !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            if !inside {
                invalid_input!("{}: the manifest names the file {path:?}, expected a path inside the folder", folder.display());
            }
        }
        Ok(())
    }
}

/// The finished pairs of a folder, in the order of its manifest's lines and parts, without touching anything; none without a manifest.
///
/// # Errors
/// When a file cannot be read, a whole line is not an entry, or a path leads elsewhere (exit code 2).
pub fn read_entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    for part in json_lines::parts(folder, STEM)? {
        entries.extend(JsonLines::read(&part)?);
    }
    entries.iter().try_for_each(|entry| entry.check_paths(folder))?;
    Ok(entries)
}

/// The lines of a manifest and the file to append to.
#[derive(Debug)]
pub struct Manifest {
    file: JsonLines,
    entries: Entries,
}

/// Finished pairs by type and number.
type Entries = BTreeMap<Kind, BTreeMap<u64, Entry>>;

impl Manifest {
    /// Opens or creates the manifest of a folder to append to; see [`Manifest::open_share`].
    ///
    /// # Errors
    /// When a file cannot be read or written, or a whole line is not an entry (exit code 2).
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_share(folder, Shard::WHOLE)
    }

    /// Opens or creates a share's part of the manifest to append to. A last line without its end, left by a killed process, is cut off: its pair is made
    /// again. The lines of other parts are read, too.
    ///
    /// # Errors
    /// As [`Manifest::open`].
    pub fn open_share(folder: &Path, shard: Shard) -> Result<Self> {
        let own = folder.join(format!("{STEM}{}.jsonl", shard.suffix()));
        let (file, lines) = JsonLines::open(&own)?;
        let mut manifest = Self { file, entries: Entries::new() };
        for other in json_lines::parts(folder, STEM)?.into_iter().filter(|path| *path != own) {
            JsonLines::read(&other)?.into_iter().for_each(|entry| keep(&mut manifest.entries, entry));
        }
        lines.into_iter().for_each(|entry| keep(&mut manifest.entries, entry));
        Ok(manifest)
    }

    /// Joins the parts of a divided run to one manifest, in the order of `kinds` and then of numbers, as a run that was not divided writes it. Only
    /// when no process appends any more.
    pub fn join(folder: &Path, kinds: &[Kind]) -> Result<()> {
        let parts = json_lines::parts(folder, STEM)?;
        let whole = folder.join(NAME);
        if parts.iter().all(|part| *part == whole) {
            return Ok(());
        }
        let mut entries = Entries::new();
        read_entries(folder)?.into_iter().for_each(|entry| keep(&mut entries, entry));
        let others = entries.keys().filter(|kind| !kinds.contains(kind));
        let ordered: Vec<&Entry> = kinds.iter().chain(others).filter_map(|kind| entries.get(kind)).flat_map(BTreeMap::values).collect();
        files::write_bytes_atomic(&whole, &json_lines::to_lines(&ordered)?)?;
        for part in parts.iter().filter(|part| **part != whole) {
            std::fs::remove_file(part).map_err(|error| input_error!("cannot remove {}: {error}", part.display()))?;
        }
        Ok(())
    }

    /// The finished pairs of a type by their number.
    pub fn finished(&self, kind: &Kind) -> impl Iterator<Item = &Entry> {
        self.entries.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether a pair is finished.
    pub fn contains(&self, kind: &Kind, index: u64) -> bool {
        self.entries.get(kind).is_some_and(|entries| entries.contains_key(&index))
    }

    /// Adds finished pairs, whose files are in place, and waits until the disk has the lines.
    pub fn append(&mut self, entries: Vec<Entry>) -> Result<()> {
        self.file.append(&entries)?;
        entries.into_iter().for_each(|entry| keep(&mut self.entries, entry));
        Ok(())
    }
}

fn keep(entries: &mut Entries, entry: Entry) {
    entries.entry(entry.kind()).or_default().insert(entry.index, entry);
}
