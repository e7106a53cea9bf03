//! Where a model's files are: a folder on disk, or files compiled into the program.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::Result;
use crate::files;
use crate::{input_error, invalid_input};

/// A file compiled into the program: its path inside the folder, with `/`, and its content.
pub type EmbeddedFile = (&'static str, &'static [u8]);

/// A folder of files, on disk or in the program.
#[derive(Clone, Debug)]
pub enum Folder {
    /// On disk.
    Disk(PathBuf),
    /// In the program; `prefix` is the place inside of it, empty or ending in `/`.
    Embedded {
        /// All files.
        files: &'static [EmbeddedFile],
        /// The part of their paths that this folder stands for.
        prefix: String,
    },
}

impl Folder {
    /// A folder on disk.
    pub fn disk(path: &Path) -> Self {
        Self::Disk(path.to_owned())
    }

    /// Files compiled into the program.
    pub fn embedded(files: &'static [EmbeddedFile]) -> Self {
        Self::Embedded { files, prefix: String::new() }
    }

    /// The folder `name` in this one, whether it exists or not.
    pub fn child(&self, name: &str) -> Self {
        match self {
            Self::Disk(path) => Self::Disk(path.join(name)),
            Self::Embedded { files, prefix } => Self::Embedded { files, prefix: format!("{prefix}{name}/") },
        }
    }

    /// How messages call the file `name` here.
    pub fn show(&self, name: &str) -> String {
        match self {
            Self::Disk(path) => path.join(name).display().to_string(),
            Self::Embedded { prefix, .. } => format!("embedded {prefix}{name}"),
        }
    }

    /// Whether there is a file (not a folder) of this name.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Disk(path) => path.join(name).is_file(),
            Self::Embedded { .. } => self.content(name).is_some(),
        }
    }

    /// Whether the folder itself is there.
    pub fn exists(&self) -> bool {
        match self {
            Self::Disk(path) => path.is_dir(),
            Self::Embedded { files, prefix } => files.iter().any(|(path, _)| path.starts_with(prefix.as_str())),
        }
    }

    /// The names of the files here, sorted. Names that are not UTF-8 are left out: no model has them.
    pub fn file_names(&self) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Self::Disk(path) => {
                let entries = fs::read_dir(path).into_iter().flatten().flatten();
                entries.filter(|entry| entry.path().is_file()).filter_map(|entry| entry.file_name().into_string().ok()).collect()
            }
            Self::Embedded { files, prefix } => {
                let inside = files.iter().filter_map(|(path, _)| path.strip_prefix(prefix.as_str()));
                inside.filter(|name| !name.contains('/')).map(str::to_owned).collect()
            }
        };
        names.sort();
        names
    }

    /// The content of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is missing, unreadable or larger.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        match self {
            Self::Disk(path) => files::read_limited(&path.join(name), limit),
            Self::Embedded { .. } => match self.content(name) {
                Some(content) => Ok(content.to_vec()),
                None => invalid_input!("{} is not part of this build", self.show(name)),
            },
        }
    }

    /// A file for reading at any position.
    ///
    /// # Errors
    /// When it is missing or unreadable.
    pub(super) fn open(&self, name: &str) -> Result<Bytes> {
        match self {
            Self::Disk(path) => {
                let (file, length) = files::open_regular(&path.join(name))?;
                Ok(Bytes::File { file: Mutex::new(file), length })
            }
            Self::Embedded { .. } => match self.content(name) {
                Some(content) => Ok(Bytes::Static(content)),
                None => invalid_input!("{} is not part of this build", self.show(name)),
            },
        }
    }

    fn content(&self, name: &str) -> Option<&'static [u8]> {
        let Self::Embedded { files, prefix } = self else { return None };
        files.iter().find(|(path, _)| path.strip_prefix(prefix.as_str()) == Some(name)).map(|(_, content)| *content)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(path) => path.display().fmt(formatter),
            Self::Embedded { prefix, .. } => {
                write!(formatter, "the embedded model{}{}", if prefix.is_empty() { "" } else { "/" }, prefix.trim_end_matches('/'))
            }
        }
    }
}

/// The bytes of a weight file, read by position.
///
/// A file on disk is read, not mapped: every element is copied into a tensor or a GPU's buffer anyway, so a map would only double the resident memory,
/// and a file that is cut while mapped kills the process, where a read ends with an error. It also needs no `unsafe`.
#[derive(Debug)]
pub(super) enum Bytes {
    File { file: Mutex<File>, length: u64 },
    Static(&'static [u8]),
    Owned(Vec<u8>),
}

impl Bytes {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Static(bytes) => bytes.len() as u64,
            Self::Owned(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `destination` from `offset` on; `label` names the file in messages.
    pub(super) fn read_at(&self, label: &str, offset: u64, destination: &mut [u8]) -> Result<()> {
        let bytes: &[u8] = match self {
            Self::File { file, .. } => {
                let mut file = file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(destination));
                return read.map_err(|error| input_error!("cannot read {label}: {error}; was it changed while it was being read?"));
            }
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(part) = start.checked_add(destination.len()).and_then(|end| bytes.get(start..end)) else {
            invalid_input!("{label} ends before byte {}", offset.saturating_add(destination.len() as u64));
        };
        destination.copy_from_slice(part);
        Ok(())
    }
}
