//! What was found about a GPU, kept in the user's cache for as long as the GPU, its driver, the compiler and what computes there are the same.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::device::cuda::{Cache, Compiler, Cuda};
use crate::digest::hexadecimal;
use crate::error::Result;
use crate::files;
use crate::input_error;

/// Larger files are not ours.
const LARGEST_FILE: u64 = 8 << 20;

/// The sources of this build that decide what a GPU computes: kernels, their launches, the cases of the comparison (`build/sources.rs`).
const BUILD: &str = env!("SOURCES_DIGEST");

/// Where the finding of a `kind` on a GPU is kept: another GPU, driver, compiler or build has another file. None where no cache is known.
pub(super) fn file(cuda: Cuda, kind: &str) -> Option<PathBuf> {
    let (properties, compiler) = (cuda.properties(), Compiler::find().ok()?);
    let about = format!("{} {} {:?} {:?} {}", properties.name, properties.capability, properties.driver, compiler.version, compiler.file);
    Some(Cache::of_user()?.folder().with_file_name(kind).join(name(&about, BUILD)))
}

/// The name of the file for what `about` says of the GPU, its driver and the compiler, and for a build.
fn name(about: &str, build: &str) -> String {
    let mut hash = Sha256::new();
    for part in [about, build] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    format!("{}.json", hexadecimal(&hash.finalize()[..16]))
}

/// What a file holds; none where there is no file.
///
/// # Errors
/// When it cannot be read or is damaged.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = files::read_limited(path, LARGEST_FILE)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| input_error!("{} is damaged: {error}", path.display()))
}

/// Keeps `value`, all or nothing.
///
/// # Errors
/// When the folder cannot be written to.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    files::create_folder(path.parent().unwrap_or(path))?;
    files::write_bytes_atomic(path, &serde_json::to_vec_pretty(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_gpu_or_build_has_another_file() {
        assert_eq!(name("a GPU 90 13.0", BUILD), name("a GPU 90 13.0", BUILD));
        assert_ne!(name("a GPU 90 13.0", BUILD), name("a GPU 80 13.0", BUILD));
        assert_ne!(name("a GPU 90 13.0", BUILD), name("a GPU 90 13.0", "0123456789abcdef"));
        assert_ne!(name("a GPU 9", "0 13.0"), name("a GPU 90", " 13.0"));
        assert!(BUILD.len() == 16 && BUILD.bytes().all(|digit| digit.is_ascii_hexdigit()), "{BUILD}");
    }
}
