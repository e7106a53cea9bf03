//! The folder of a run: who may write to it, and whether it may be begun or gone on with.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::files;
use crate::training::progress::note;
use crate::training::signals;
use crate::{input_error, invalid_input};

/// The settings that the run really used.
pub const CONFIG: &str = "config.toml";
/// Held, with pid and host, while a process works on the folder.
const LOCK: &str = "run.lock";

/// A run folder that this process alone may write to, until this is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl RunFolder {
    /// Takes a folder for a run and writes `config`, the resolved settings, into it as config.toml. The folder is created if need be.
    ///
    /// With `resume`, a folder of an earlier run is gone on with; an empty or absent one is begun, so that a job script may always say `--resume`.
    ///
    /// # Errors
    /// Exit code 2: another process works on the folder; it is not empty and `resume` is false; `resume` and it holds something else than a run.
    pub fn open(path: &Path, resume: bool, config: &impl Serialize) -> Result<Self> {
        signals::check()?;
        files::create_folder(path)?;
        let lock = FolderLock::acquire(path)?;
        let occupied = occupied(path)?;
        if occupied && !resume {
            invalid_input!("the folder {} is not empty; go on with its run by --resume, or choose another --out", path.display());
        }
        if occupied && !path.join(CONFIG).is_file() {
            invalid_input!(
                "the folder {} is not empty and holds no run (there is no {CONFIG} in it); choose a run's folder or an empty one",
                path.display()
            );
        }
        files::remove_temporaries(path)?;
        files::write_bytes_atomic(&path.join(CONFIG), toml::to_string(config)?.as_bytes())?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of one stage of the run, created if need be.
    pub fn stage(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        files::create_folder(&path)?;
        Ok(path)
    }
}

/// Whether anything but the lock is in a folder; left-over temporary files do not count.
fn occupied(path: &Path) -> Result<bool> {
    let failed = |error: io::Error| input_error!("cannot list the folder {}: {error}", path.display());
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name != OsStr::new(LOCK) && !files::is_temporary(&name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Exclusive use of a folder among all processes that ask for it. The operating system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    file: File,
}

impl FolderLock {
    /// Takes the lock or says who has it. What a killed process left behind is recognised and taken over.
    ///
    /// # Errors
    /// Another process has it, or the folder cannot be written to (exit code 2).
    pub fn acquire(folder: &Path) -> Result<Self> {
        Self::acquire_share(folder, "")
    }

    /// Takes the lock of one share of a run, which excludes nothing but the same share; `suffix` names it.
    ///
    /// # Errors
    /// As [`FolderLock::acquire`].
    pub fn acquire_share(folder: &Path, suffix: &str) -> Result<Self> {
        Self::take(folder, suffix)?.map_err(|holder| held(folder, &holder))
    }

    /// As [`FolderLock::acquire_share`]; `None` when another process has the lock.
    ///
    /// # Errors
    /// When the folder cannot be written to (exit code 2).
    pub fn try_acquire(folder: &Path, suffix: &str) -> Result<Option<Self>> {
        Ok(Self::take(folder, suffix)?.ok())
    }

    /// The lock, or who has it.
    fn take(folder: &Path, suffix: &str) -> Result<std::result::Result<Self, String>> {
        // What comes before, such as loading a model, does not look for signals.
        signals::check()?;
        let path = folder.join(format!("run{suffix}.lock"));
        loop {
            let failed = |error: io::Error| input_error!("cannot lock the folder {}: {error}", folder.display());
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
            let mut holder = String::new();
            let _ = (&file).take(500).read_to_string(&mut holder);
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Err(holder)),
                // Some network file systems have no locks; then the word of the file counts.
                Err(TryLockError::Error(_)) if may_live(&holder) => return Ok(Err(holder)),
                Err(TryLockError::Error(_)) => {}
            }
            // The holder before may have removed the file between opening and locking; then this lock is on a file that nobody else sees.
            if !same_file(&file, &path) {
                continue;
            }
            if !holder.is_empty() {
                note(&format!("the last run in {} ended without tidying up ({}); taking its place", folder.display(), holder.trim()));
            }
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", signature())).map_err(failed)?;
            return Ok(Ok(Self { path, file }));
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Removed while still locked: whoever opened it before finds, after locking, that its file is gone.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

fn held(folder: &Path, holder: &str) -> Error {
    let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() };
    input_error!("the folder {} is in use by {holder}; wait for it to end or choose another --out", folder.display())
}

/// "process 123 on host".
fn signature() -> String {
    format!("process {} on {}", std::process::id(), host())
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "this machine".to_owned())
}

/// Whether the process that signed may still run: not when it was on this host and is gone.
fn may_live(holder: &str) -> bool {
    let parsed = holder.trim().strip_prefix("process ").and_then(|rest| rest.split_once(" on "));
    match parsed {
        None => false,
        Some((pid, at)) if at == host() => !Path::new("/proc/self").exists() || Path::new("/proc").join(pid).exists(),
        Some(_) => true,
    }
}

fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;

    #[derive(Serialize)]
    struct Config {
        steps: u64,
        learning_rate: f64,
    }
    const SETTINGS: Config = Config { steps: 10, learning_rate: 0.1 };

    #[test]
    fn a_run_is_begun_refused_and_gone_on_with() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("runs/one");
        drop(RunFolder::open(&path, false, &SETTINGS).unwrap());
        assert_eq!(fs::read_to_string(path.join(CONFIG)).unwrap(), "steps = 10\nlearning_rate = 0.1\n");
        let error = RunFolder::open(&path, false, &SETTINGS).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains("--resume"), "{error}");
        drop(RunFolder::open(&path, true, &SETTINGS).unwrap());
        assert!(!path.join(LOCK).exists(), "no lock is left");
    }

    #[test]
    fn resume_begins_an_empty_folder_but_not_a_foreign_one() {
        let root = tempfile::tempdir().unwrap();
        drop(RunFolder::open(root.path(), true, &SETTINGS).unwrap());
        fs::remove_file(root.path().join(CONFIG)).unwrap();
        fs::write(root.path().join("holiday.jpg"), b"x").unwrap();
        assert!(RunFolder::open(root.path(), true, &SETTINGS).unwrap_err().to_string().contains("holds no run"));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing was added");
    }

    #[test]
    fn the_second_is_refused_while_the_first_lives() {
        let root = tempfile::tempdir().unwrap();
        let first = RunFolder::open(root.path(), false, &SETTINGS).unwrap();
        let error = RunFolder::open(root.path(), true, &SETTINGS).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains(&signature()), "{error}");
        drop(first);
        RunFolder::open(root.path(), true, &SETTINGS).unwrap();
    }

    #[test]
    fn a_stale_lock_is_taken_over() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(LOCK), format!("process 999999999 on {}\n", host())).unwrap();
        drop(FolderLock::acquire(root.path()).unwrap());
        assert!(!may_live(&format!("process 999999999 on {}", host())));
        assert!(may_live(&signature()));
        assert!(may_live("process 1 on some-other-host"));
    }

    #[test]
    fn many_at_once_are_let_in_one_by_one() {
        let root = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        let entered = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    use std::sync::atomic::Ordering::SeqCst;
                    for _ in 0..200 {
                        if let Ok(lock) = FolderLock::acquire(root.path()) {
                            assert_eq!(inside.fetch_add(1, SeqCst), 0, "two have the lock");
                            entered.fetch_add(1, SeqCst);
                            inside.fetch_sub(1, SeqCst);
                            drop(lock);
                        }
                    }
                });
            }
        });
        assert!(entered.into_inner() > 0);
    }

    #[test]
    fn what_a_killed_process_left_is_tidied() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(".image.png.12-0.tmp"), b"half").unwrap();
        drop(RunFolder::open(root.path(), false, &SETTINGS).unwrap());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "only {CONFIG}");
    }
}
