//! Compiled kernels on disk. A file is named by the content that it was made from and carries a digest of what it holds, so any number of processes may
//! read and write the folder at once, and a damaged file is compiled again rather than loaded.

use std::env;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::files;

/// Names the folder of everything that the program caches.
pub const FOLDER_VARIABLE: &str = "ANODIFF_CACHE";

/// Raised when the form of a file changes.
const FORM: &[u8] = b"anodiff kernel 1\n";
/// More than any compiled kernel has: larger files are not ours.
const LARGEST_FILE: u64 = 256 << 20;

/// A folder of compiled kernels.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// A compiled kernel as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The binary for one architecture.
    pub binary: Vec<u8>,
    /// What compiler and assembler said.
    pub log: String,
}

impl Cache {
    /// The user's cache: `$ANODIFF_CACHE`, `$XDG_CACHE_HOME/anodiff` or `~/.cache/anodiff`, in it `kernels`. None where no such folder is known.
    pub fn of_user() -> Option<Self> {
        let set = |variable| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set(FOLDER_VARIABLE)
            .or_else(|| set("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()).map(|folder| folder.join("anodiff")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/anodiff")))?;
        Some(Self::in_folder(&folder.join("kernels")))
    }

    /// A cache in a folder of the caller's.
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a kernel is there (it may still turn out to be damaged).
    pub(super) fn holds(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// A compiled kernel, if it is there and whole.
    pub(super) fn read(&self, name: &str) -> Option<Entry> {
        if !self.holds(name) {
            return None;
        }
        let bytes = files::read_limited(&self.path(name), LARGEST_FILE).ok()?;
        let (digest, rest) = bytes.strip_prefix(FORM)?.split_first_chunk::<32>()?;
        if Sha256::digest(rest)[..] != digest[..] {
            return None;
        }
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (log, binary) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Some(Entry { binary: binary.to_vec(), log: String::from_utf8_lossy(log).into_owned() })
    }

    /// Keeps a compiled kernel.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(super) fn write(&self, name: &str, entry: &Entry) -> Result<()> {
        let mut content = (entry.log.len() as u64).to_le_bytes().to_vec();
        content.extend_from_slice(entry.log.as_bytes());
        content.extend_from_slice(&entry.binary);
        let bytes = [FORM, &Sha256::digest(&content)[..], &content[..]].concat();
        files::create_folder(&self.folder)?;
        files::write_bytes_atomic(&self.path(name), &bytes)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(&folder.path().join("a/b"));
        let entry = Entry { binary: vec![1, 2, 3, 0, 255], log: "Used 12 registers".to_owned() };
        assert_eq!(cache.read("k"), None);
        cache.write("k", &entry).unwrap();
        assert_eq!(cache.read("k"), Some(entry));
        let path = cache.path("k");
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(cache.read("k"), None, "cut to {length} bytes");
        }
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(cache.read("k"), None, "byte {position} changed");
        }
    }
}
