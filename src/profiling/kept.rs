//! What was found about a GPU, kept in the user's cache for as long as the GPU, its driver, the compiler and the kernels are the same.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::device::cuda::{Cache, Compiler, Cuda, KERNELS};
use crate::digest::hexadecimal;
use crate::error::Result;
use crate::files;
use crate::input_error;

/// Larger files are not ours.
const LARGEST_FILE: u64 = 8 << 20;

/// Where the finding of a `kind` on a GPU is kept: another GPU, driver, compiler or kernel has another file. None where no cache is known.
pub(super) fn file(cuda: Cuda, kind: &str) -> Option<PathBuf> {
    let (properties, compiler) = (cuda.properties(), Compiler::find().ok()?);
    let mut hash = Sha256::new();
    let about = format!("{} {} {:?} {:?} {}", properties.name, properties.capability, properties.driver, compiler.version, compiler.file);
    for part in std::iter::once(about.as_str()).chain(KERNELS.iter().map(|kernel| kernel.text)).chain([env!("CARGO_PKG_VERSION")]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let folder = Cache::of_user()?.folder().with_file_name(kind);
    Some(folder.join(format!("{}.json", hexadecimal(&hash.finalize()[..16]))))
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
