//! Runs of the program that tests share: what has to succeed, what has to be refused, what is stopped on the way.

#![allow(dead_code)] // each test binary uses its part

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anodiff::testing::miniature;

/// A folder with a miniature model in `model` and a data set of one object, six pairs a type, in `data`; each test file adds its commands.
pub struct World {
    pub folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::of_pairs(6)
    }

    /// With another number of pairs a type.
    pub fn of_pairs(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        miniature::model(&folder.path().join("model"), 1);
        miniature::data_set(&folder.path().join("data"), count);
        Self { folder }
    }

    /// With a normal picture to test on.
    pub fn with_test_normal() -> Self {
        let world = Self::new();
        let good = world.path("data/plate/test/good");
        fs::create_dir_all(&good).unwrap();
        fs::copy(world.path("data/plate/train/good/000.png"), good.join("000.png")).unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command in the world's folder.
    pub fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anodiff"));
        command.current_dir(self.folder.path()).arg(name).args(["--threads", "2"]).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command on the world's data with its model.
    pub fn command_on_data(&self, name: &str, arguments: &[&str]) -> Command {
        self.command(name, &[&["--data", "data", "--model", "model"], arguments].concat())
    }
}

/// Runs a command that has to end with exit code 0.
#[track_caller]
pub fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Exit code 2, one sentence on stderr with all of `parts`, no panic; gives what stands on stderr.
#[track_caller]
pub fn refused(mut command: Command, parts: &[&str]) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    for part in parts {
        assert!(text.contains(part), "{command:?}: expected {part:?} in {text}");
    }
    text
}

/// Paths of the files below a folder, relative to it, without those that are being written (`.tmp`). A folder that is not there yet has none.
pub fn paths(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "tmp") {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

/// Those files with their bytes.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    paths(folder).into_iter().map(|path| (path.clone(), fs::read(folder.join(path)).unwrap())).collect()
}

/// Sends a command SIGKILL (`-KILL`), SIGTERM or SIGINT as soon as so many files are in its folder. It has to be at work then, and to end as that signal ends it.
#[track_caller]
pub fn interrupt(mut command: Command, signal: &str, folder: &Path, count: usize) {
    // What is there already says nothing of this process.
    let count = count.max(paths(folder).len() + 1);
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while paths(folder).len() < count {
        assert!(child.try_wait().unwrap().is_none(), "{command:?} ended with {} files, {count} expected before", paths(folder).len());
        assert!(start.elapsed() < Duration::from_secs(120), "{command:?}: waited in vain for {count} files");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success(), "{command:?} had ended");
    let output = child.wait_with_output().unwrap();
    let expected = match signal {
        "-TERM" => Some(143),
        "-INT" => Some(130),
        _ => None,
    };
    assert_eq!(output.status.code(), expected, "{signal} at {count} files, {command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The one JSON file in a folder.
#[track_caller]
pub fn json_file(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}
