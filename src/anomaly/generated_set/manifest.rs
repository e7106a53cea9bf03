//! `manifest.jsonl`: one line per finished pair.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::anomaly::learned::Kind;
use crate::error::{Context, Result};
use crate::files;
use crate::{input_error, invalid_input};

/// The manifest's name in the folder.
pub const NAME: &str = "manifest.jsonl";

/// A manifest may have this many bytes: more than ten million pairs.
const MOST_BYTES: u64 = 4 << 30;

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
    /// Where the mask came from: `real`, `procedural`, or the file's name.
    pub mask_source: String,
    /// DDIM steps.
    pub steps: usize,
    /// DDIM's eta.
    pub eta: f64,
    /// Guidance scale.
    pub guidance: f64,
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
}

/// The lines of a manifest and the file to append to.
#[derive(Debug)]
pub struct Manifest {
    path: PathBuf,
    file: File,
    entries: BTreeMap<Kind, BTreeMap<u64, Entry>>,
}

impl Manifest {
    /// Opens or creates the manifest of a folder. A last line without its end, left by a killed process, is cut off: its pair is made again.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a whole line is not an entry (exit code 2).
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let unwritable = |error: std::io::Error| input_error!("cannot write {}: {error}", path.display());
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(unwritable)?;
        let bytes = files::read_limited(&path, MOST_BYTES)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(unwritable)?;
        }
        let mut manifest = Self { path: path.clone(), file, entries: BTreeMap::new() };
        for (number, line) in bytes[..whole].split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) => manifest.keep(entry),
                Err(error) => invalid_input!("{}, line {}: not an entry of a manifest: {error}", path.display(), number + 1),
            }
        }
        Ok(manifest)
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
        let mut lines = Vec::new();
        for entry in &entries {
            serde_json::to_writer(&mut lines, entry).context("writing a manifest line")?;
            lines.push(b'\n');
        }
        let before = self.file.seek(SeekFrom::End(0));
        if let Err(error) = self.file.write_all(&lines).and_then(|()| self.file.sync_data()) {
            // Half a line would spoil those that follow once the disk has room again.
            let _ = before.and_then(|length| self.file.set_len(length));
            invalid_input!("cannot write {}: {error}; free some space and run the same command again", self.path.display());
        }
        entries.into_iter().for_each(|entry| self.keep(entry));
        Ok(())
    }

    fn keep(&mut self, entry: Entry) {
        self.entries.entry(entry.kind()).or_default().insert(entry.index, entry);
    }
}
