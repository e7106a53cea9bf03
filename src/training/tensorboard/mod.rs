//! Event files that TensorBoard reads: scalars and PNG images, framed and encoded here (a few protocol-buffer fields and a CRC).
//!
//! Framing: `tensorflow/core/lib/io/record_writer.cc`; messages: `tensorflow/core/util/event.proto`, `tensorflow/core/framework/summary.proto`.

mod protobuf;
mod record;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use protobuf::Message;

use crate::error::{Error, Result};
use crate::{files, input_error};

/// The folder that `tensorboard --logdir` is given.
pub const FOLDER: &str = "tensorboard";
/// One file a run; no host name and no clock in its name.
const FILE: &str = "events.out.tfevents.0000000000.anodiff";

/// A PNG picture for TensorBoard.
pub struct Picture<'a> {
    /// The encoded file.
    pub png: &'a [u8],
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

/// An event file that is appended to.
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Opens the event file of a run folder and cuts off what came after step `step`, the one that the run goes on from (0: everything).
    ///
    /// # Errors
    /// When it cannot be read or written (exit code 2).
    pub fn open(folder: &Path, step: u64) -> Result<Self> {
        let folder = folder.join(FOLDER);
        files::create_folder(&folder)?;
        let path = folder.join(FILE);
        let kept = if step == 0 { Ok(0) } else { length_up_to(&path, step) }.map_err(|error| unwritable(&path, &error))?;
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(|error| unwritable(&path, &error))?;
        file.set_len(kept).map_err(|error| unwritable(&path, &error))?;
        let mut events = Self { path, file };
        if kept == 0 {
            // TensorBoard expects the version in the first record (field 3 of Event).
            events.append(&event(now(), 0, |event| event.bytes(3, b"brain.Event:2")))?;
        }
        Ok(events)
    }

    /// Adds one number under `tag`; tags with the same words before a slash stand together.
    pub fn scalar(&mut self, step: u64, tag: &str, value: f64) -> Result<()> {
        self.append(&scalar(now(), step, tag, value))
    }

    /// Adds one picture under `tag`.
    pub fn image(&mut self, step: u64, tag: &str, picture: &Picture<'_>) -> Result<()> {
        self.append(&image(now(), step, tag, picture))
    }

    fn append(&mut self, event: &[u8]) -> Result<()> {
        self.file.write_all(&record::frame(event)).map_err(|error| unwritable(&self.path, &error))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    input_error!("cannot write {}: {error}; check the folder, its permissions and the free space, then go on with --resume", path.display())
}

/// Event {wall_time = 1, step = 2, ..}.
fn event(wall_time: f64, step: u64, rest: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut event = Message::default();
    event.double(1, wall_time);
    event.integer(2, step);
    rest(&mut event);
    event.bytes
}

/// Event {.., summary = 5 {value = 1 {tag = 1, simple_value = 2}}}.
fn scalar(wall_time: f64, step: u64, tag: &str, number: f64) -> Vec<u8> {
    let mut value = Message::default();
    value.bytes(1, tag.as_bytes());
    value.float(2, number as f32);
    summary(wall_time, step, &value)
}

/// Event {.., summary = 5 {value = 1 {tag = 1, image = 4 {height = 1, width = 2, colorspace = 3, encoded_image_string = 4}}}}.
fn image(wall_time: f64, step: u64, tag: &str, picture: &Picture<'_>) -> Vec<u8> {
    const RGB: u64 = 3;
    let mut image = Message::default();
    image.integer(1, picture.height as u64);
    image.integer(2, picture.width as u64);
    image.integer(3, RGB);
    image.bytes(4, picture.png);
    let mut value = Message::default();
    value.bytes(1, tag.as_bytes());
    value.bytes(4, &image.bytes);
    summary(wall_time, step, &value)
}

fn summary(wall_time: f64, step: u64, value: &Message) -> Vec<u8> {
    let mut summary = Message::default();
    summary.bytes(1, &value.bytes);
    event(wall_time, step, |event| event.bytes(5, &summary.bytes))
}

/// Length of the leading whole records whose step is at most `step`.
fn length_up_to(path: &Path, step: u64) -> io::Result<u64> {
    let mut reader = match fs::File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut kept = 0;
    while let Some(event) = record::next(&mut reader)? {
        if step_of(&event).is_none_or(|found| found > step) {
            break;
        }
        kept += event.len() as u64 + 16;
    }
    Ok(kept)
}

/// When the first and the last event of a run folder were written (Unix time in seconds), and the last one's step; `None` where there is none.
pub fn span(folder: &Path) -> Option<(f64, f64, u64)> {
    let mut reader = BufReader::new(fs::File::open(folder.join(FOLDER).join(FILE)).ok()?);
    let mut span: Option<(f64, f64, u64)> = None;
    while let Ok(Some(event)) = record::next(&mut reader) {
        let (Some(time), Some(step)) = (event.get(1..9).and_then(|bytes| bytes.try_into().ok()).map(f64::from_le_bytes), step_of(&event)) else {
            break;
        };
        span = Some((span.map_or(time, |(first, ..)| first), time, step));
    }
    span
}

/// The step of an event written here: the wall time's nine bytes, then field 2.
fn step_of(event: &[u8]) -> Option<u64> {
    const STEP_KEY: u8 = 2 << 3;
    let mut bytes = event.get(9..)?.iter();
    if *bytes.next()? != STEP_KEY {
        return None;
    }
    let mut step = 0;
    for (position, byte) in bytes.take(10).enumerate() {
        step |= u64::from(byte & 0x7F).checked_shl(7 * position as u32)?;
        if byte & 0x80 == 0 {
            return Some(step);
        }
    }
    None
}
