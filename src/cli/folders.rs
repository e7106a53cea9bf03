//! Checks on the folders that commands are given.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::invalid_input;

/// Refuses an output folder that is the data set's or inside it: what is written there would be read as data next time.
pub(super) fn outside_of_data(out: &Path, data: &Path) -> Result<()> {
    let (Some(out_place), Some(data_place)) = (place(out), place(data)) else { return Ok(()) };
    if out_place.starts_with(&data_place) {
        invalid_input!("--out {} is inside the data set {}; choose a folder outside of it", out.display(), data.display());
    }
    Ok(())
}

/// Where a path leads, links followed as far as it exists.
fn place(path: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = std::path::absolute(path).ok()?;
    loop {
        if let Ok(found) = existing.canonicalize() {
            return Some(missing.into_iter().rev().fold(found, |place, name| place.join(name)));
        }
        missing.push(existing.file_name()?.to_owned());
        existing.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_is_refused_also_through_links_and_missing_folders() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join("plate")).unwrap();
        std::os::unix::fs::symlink(&data, folder.path().join("link")).unwrap();
        for out in ["data", "data/new/deeper", "link/plate", "data/plate/../x"] {
            assert!(outside_of_data(&folder.path().join(out), &data).is_err(), "{out}");
        }
        for out in ["out", "data2", "."] {
            outside_of_data(&folder.path().join(out), &data).unwrap();
        }
    }
}
