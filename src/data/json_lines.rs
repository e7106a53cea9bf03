//! A file of JSON lines that grows by appending: whatever kills the writer, the lines before are whole.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Context, Result};
use crate::files;
use crate::{input_error, invalid_input};

/// A file may have this many bytes: more than ten million lines of a manifest.
const MOST_BYTES: u64 = 4 << 30;

/// The file to append to. Only one process may do so.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Opens or creates a file and reads its lines. A last line without its end, left by a killed process, is cut off.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a whole line does not parse (exit code 2).
    pub fn open<T: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<T>)> {
        let unwritable = |error: std::io::Error| input_error!("cannot write {}: {error}", path.display());
        let file = OpenOptions::new().create(true).read(true).append(true).open(path).map_err(unwritable)?;
        let bytes = files::read_limited(path, MOST_BYTES)?;
        let whole = whole_lines(&bytes);
        if whole < bytes.len() {
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(unwritable)?;
        }
        Ok((Self { path: path.to_owned(), file }, parse(&bytes[..whole], path)?))
    }

    /// Reads the whole lines of a file that another process may be writing; nothing is changed.
    ///
    /// # Errors
    /// As [`JsonLines::open`].
    pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
        let bytes = files::read_limited(path, MOST_BYTES)?;
        parse(&bytes[..whole_lines(&bytes)], path)
    }

    /// Adds lines and waits until the disk has them: all or, on an error, none.
    pub fn append<T: Serialize>(&mut self, items: &[T]) -> Result<()> {
        let lines = to_lines(items)?;
        let before = self.file.seek(SeekFrom::End(0));
        if let Err(error) = self.file.write_all(&lines).and_then(|()| self.file.sync_data()) {
            // Half a line would spoil those that follow once the disk has room again.
            let _ = before.and_then(|length| self.file.set_len(length));
            invalid_input!("cannot write {}: {error}; free some space and run the same command again", self.path.display());
        }
        Ok(())
    }
}

/// The lines of items, each with its end.
pub fn to_lines<T: Serialize>(items: &[T]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for item in items {
        serde_json::to_writer(&mut lines, item).context("writing a line of JSON")?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The files of one kind of lines in a folder: `<stem>.jsonl` and the parts `<stem>-<i>-of-<n>.jsonl` of a divided run, by name.
///
/// # Errors
/// When the folder cannot be listed (exit code 2).
pub fn parts(folder: &Path, stem: &str) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| input_error!("cannot list the folder {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(stem)).and_then(|rest| rest.strip_suffix(".jsonl")) else { continue };
        if rest.is_empty() || (rest.starts_with('-') && rest.contains("-of-")) {
            found.push(folder.join(&name));
        }
    }
    found.sort();
    Ok(found)
}

/// Length of the leading whole lines.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<Vec<T>> {
    let mut items = Vec::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(item) => items.push(item),
            Err(error) => invalid_input!("{}, line {}: not an entry of this file: {error}", path.display(), number + 1),
        }
    }
    Ok(items)
}
