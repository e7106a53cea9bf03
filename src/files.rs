//! Files as the program leaves and finds them: written to a temporary name and renamed, read up to a limit.
//!
//! Whatever goes wrong while writing (a full disk, a signal, a crash), the final name shows either the previous content or all of the new one.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, InvalidInput, Result};
use crate::{input_error, invalid_input};

/// Writes a file through `write`, all or nothing: a temporary file in the same folder, synced to disk, renamed, and the folder synced.
///
/// # Errors
/// What `write` returns, and input/output errors as the user's to correct (exit code 2). The temporary file is removed then.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let (temporary, file) = Temporary::create(path).map_err(|error| unwritable(path, &error))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    write(&mut writer).map_err(|error| as_input_error(path, error))?;
    writer.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all()).map_err(|error| unwritable(path, &error))?;
    temporary.rename_to(path).map_err(|error| unwritable(path, &error))
}

/// Writes these bytes, all or nothing; see [`write_atomic`].
pub fn write_bytes_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic(path, |writer| Ok(writer.write_all(bytes)?))
}

/// Renames within a folder, replacing `to`, and syncs the folder, so that the new name survives a power cut.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder_of(to)
}

/// Whether a name is one that [`write_atomic`] gives while it writes.
pub fn is_temporary(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") && name.as_encoded_bytes().ends_with(b".tmp")
}

/// Removes what killed processes left of [`write_atomic`] in `folder`. Only for a folder that no other process writes to.
pub fn remove_temporaries(folder: &Path) -> Result<()> {
    let failed = |error: io::Error| input_error!("cannot tidy the folder {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_temporary(&entry.file_name()) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Creates a folder and those above it.
///
/// # Errors
/// When one of them cannot be created or is a file (exit code 2).
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| input_error!("cannot create the folder {}: {error}; choose another or free it", path.display()))
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, is not a regular file, or is larger (exit code 2).
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, length) = open_regular(path)?;
    if length > limit {
        invalid_input!("{} has {length} bytes, expected at most {limit}", path.display());
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // The limit holds for a file that grows meanwhile, too.
    file.take(limit).read_to_end(&mut bytes).map_err(|error| input_error!("cannot read {}: {error}", path.display()))?;
    Ok(bytes)
}

/// Opens a regular file for reading and gives its length. A folder, a pipe or a device is refused rather than waited for.
///
/// # Errors
/// When it cannot be opened or is not a regular file (exit code 2).
pub fn open_regular(path: &Path) -> Result<(File, u64)> {
    let refused = |error: io::Error| input_error!("cannot read {}: {error}", path.display());
    // Asked before opening: opening a pipe without a writer would block.
    if !fs::metadata(path).map_err(refused)?.is_file() {
        invalid_input!("cannot read {}: expected a file, found a folder or a device", path.display());
    }
    let file = File::open(path).map_err(refused)?;
    let length = file.metadata().map_err(refused)?.len();
    Ok((file, length))
}

/// A file under a temporary name that disappears unless it is renamed.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn create(path: &Path) -> io::Result<(Self, File)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"))?;
        loop {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
            let path = path.with_file_name(hidden);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((Self { path, renamed: false }, file)),
                // Left behind by a killed process that had the same number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
        }
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.renamed = true;
        sync_folder_of(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot sync a folder; the rename stands.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => Ok(()),
        other => other,
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    input_error!("cannot write {}: {error}; check the folder, its permissions and the free space, then try again", path.display())
}

/// An input/output error inside `write` is the disk's; anything else stays what it is.
fn as_input_error(path: &Path, error: Error) -> Error {
    if error.chain().any(|cause| cause.is::<InvalidInput>()) {
        return error;
    }
    match error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => unwritable(path, cause),
        None => error.context(format!("while writing {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{bail, exit_code};

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_all_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_bytes_atomic(&path, b"first").unwrap();
        let failed = write_atomic(&path, |writer| {
            writer.write_all(b"half of the sec")?;
            bail!("stopped")
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("stopped"));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write_bytes_atomic(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["state.json"], "no temporary file is left");
    }

    #[test]
    fn a_full_disk_is_the_users_to_correct() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.png");
        let full = || io::Error::new(io::ErrorKind::StorageFull, "No space left on device");
        let error = write_atomic(&path, |_| Err(Error::new(full()).context("encoding"))).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains("image.png: No space left on device"), "{error}");
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn missing_folders_and_folders_in_place_of_files() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_bytes_atomic(&folder.path().join("no/such/file"), b"").unwrap_err();
        assert_eq!(exit_code(&error), 2);
        let error = read_limited(folder.path(), 10).unwrap_err();
        assert!(error.to_string().contains("expected a file"), "{error}");
        let path = folder.path().join("large");
        fs::write(&path, [0; 11]).unwrap();
        let error = read_limited(&path, 10).unwrap_err();
        assert!(error.to_string().contains("11 bytes, expected at most 10"), "{error}");
    }
}
