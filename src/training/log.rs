//! A log of one JSON object a line. It holds no clock, so that a resumed run leaves the same bytes as an uninterrupted one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::input_error;

/// Name of the log in a run folder.
pub const LOG: &str = "log.jsonl";

/// A log that is appended to; every line is in the file when [`Log::write`] returns.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens `folder`'s log and cuts off what came after step `step`, the one that the run goes on from (0: everything).
    ///
    /// # Errors
    /// When it cannot be read or written (exit code 2).
    pub fn open(folder: &Path, step: u64) -> Result<Self> {
        let path = folder.join(LOG);
        let kept = if step == 0 { Ok(0) } else { length_up_to(&path, step) }.map_err(|error| unwritable(&path, &error))?;
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(|error| unwritable(&path, &error))?;
        file.set_len(kept).map_err(|error| unwritable(&path, &error))?;
        Ok(Self { path, file })
    }

    /// Appends `{"step": .., "kind": .., name: value, ..}`. A number that is not finite is written as null.
    pub fn write(&mut self, step: u64, kind: &str, values: &[(String, f64)]) -> Result<()> {
        let mut line = Map::new();
        line.insert("step".to_owned(), json!(step));
        line.insert("kind".to_owned(), json!(kind));
        line.extend(values.iter().map(|(name, value)| (name.clone(), json!(value))));
        let text = format!("{}\n", Value::Object(line));
        self.file.write_all(text.as_bytes()).map_err(|error| unwritable(&self.path, &error))
    }

    /// Brings all lines to the disk: before a checkpoint, so that none is missing behind it after a power cut.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| unwritable(&self.path, &error))
    }
}

/// Length of the leading whole lines whose step is at most `step`.
fn length_up_to(path: &Path, step: u64) -> io::Result<u64> {
    let mut reader = match fs::File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let (mut length, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let count = reader.read_until(b'\n', &mut line)?;
        let found = serde_json::from_slice::<Value>(&line).ok().and_then(|line| line.get("step")?.as_u64());
        if !line.ends_with(b"\n") || found.is_none_or(|found| found > step) {
            return Ok(length);
        }
        length += count as u64;
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    input_error!("cannot write the log {}: {error}; check the folder, its permissions and the free space, then go on with --resume", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(x: f64) -> Vec<(String, f64)> {
        vec![("loss".to_owned(), x)]
    }

    #[test]
    fn lines_are_cut_back_to_the_step_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOG);
        let mut log = Log::open(folder.path(), 0).unwrap();
        for step in 1..=5 {
            log.write(step, "train", &value(0.5 * step as f64)).unwrap();
        }
        log.write(3, "validation", &value(f64::NAN)).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        assert!(whole.starts_with("{\"step\":1,\"kind\":\"train\",\"loss\":0.5}\n"), "{whole}");
        assert!(whole.ends_with("\"loss\":null}\n"));
        drop(log);
        drop(Log::open(folder.path(), 3).unwrap());
        let cut = fs::read_to_string(&path).unwrap();
        assert_eq!(cut.lines().count(), 3);
        assert!(whole.starts_with(&cut));
        drop(Log::open(folder.path(), 0).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_torn_line_and_what_is_no_log_are_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOG);
        fs::write(&path, b"{\"step\":1}\n{\"step\":2}").unwrap();
        let mut log = Log::open(folder.path(), 9).unwrap();
        log.write(2, "train", &[]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n{\"step\":2,\"kind\":\"train\"}\n");
        fs::write(&path, b"\xff\xfe\n{\"step\":2}\n").unwrap();
        drop(Log::open(folder.path(), 9).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
}
