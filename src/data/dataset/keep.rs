//! A list of the pictures to keep, as `anodiff filter` writes it: one path a line, relative to the data set's root, with `/`.

use std::collections::BTreeSet;
use std::path::Path;

use super::Dataset;
use crate::error::Result;
use crate::files;
use crate::invalid_input;

/// A list may have this many bytes: more than ten million lines.
const MOST_BYTES: u64 = 2 << 30;

/// Paths of pictures with defects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepList {
    paths: BTreeSet<String>,
    origin: String,
}

impl KeepList {
    /// Reads a list; empty lines are left out.
    ///
    /// # Errors
    /// When the file cannot be read or is no text (exit code 2).
    pub fn load(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let Ok(text) = String::from_utf8(files::read_limited(path, MOST_BYTES)?) else {
            invalid_input!("{origin}: expected UTF-8 text, one path a line")
        };
        let paths = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Ok(Self { paths, origin })
    }

    /// Leaves out the pairs whose pictures are not in the list; types and objects without a pair disappear with them.
    ///
    /// # Errors
    /// When the list names a picture that the data set lacks, or nothing is left (exit code 2).
    pub fn apply(&self, dataset: &mut Dataset) -> Result<()> {
        let root = dataset.root.clone();
        let name = |image: &Path| image.strip_prefix(&root).ok().and_then(Path::to_str).map(|name| name.replace('\\', "/"));
        let mut found = BTreeSet::new();
        for kind in dataset.objects.iter_mut().flat_map(|object| &mut object.types) {
            kind.pairs.retain(|pair| {
                let kept = name(&pair.image).filter(|name| self.paths.contains(name));
                kept.map(|name| found.insert(name)).is_some()
            });
        }
        if let Some(missing) = self.paths.iter().find(|path| !found.contains(*path)) {
            invalid_input!("{}: {missing} is not a picture with a defect and a mask in {}", self.origin, root.display());
        }
        if found.is_empty() {
            invalid_input!("{}: the list is empty, so no pair is left of {}", self.origin, root.display());
        }
        dataset.objects.iter_mut().for_each(|object| object.types.retain(|kind| !kind.pairs.is_empty()));
        dataset.objects.retain(|object| !object.types.is_empty() || !object.normals.is_empty());
        Ok(())
    }
}
