//! The file of times, which any number of processes read and add to.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Result, ensure};
use crate::input_error;
use crate::ops::product::Shape;
use crate::ops::tuning::Trial;
use crate::profiling::kept;
use crate::training::progress::note;

/// Raised when the form of a file changes.
const FORM: u32 = 1;
/// A model has about a hundred shapes for one size of image.
pub(super) const MOST_SHAPES: usize = 4096;
/// How long a process waits for others that write.
const PATIENCE: Duration = Duration::from_secs(10);

/// A shape, and what each of its routes took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// The shape.
    pub shape: Shape,
    /// One for each route; none when they could not be run.
    pub trials: Vec<Trial>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    form: u32,
    products: Vec<Timed>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
}

impl Store {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is kept; of a damaged file nothing, with a note.
    pub fn read(&self) -> Vec<Timed> {
        let content = kept::read::<Content>(&self.path).and_then(|content| match content {
            Some(Content { form, .. }) if form != FORM => Err(input_error!("{} has form {form}, expected {FORM}", self.path.display())),
            content => Ok(content.map(|content| content.products).unwrap_or_default()),
        });
        content.unwrap_or_else(|error| {
            note(&format!("{error:#}; products are timed again, so images may differ from earlier ones by roundings"));
            Vec::new()
        })
    }

    /// Keeps the times of a shape, `again` in place of what is kept of it; without, what is there already stays. All that is kept then.
    ///
    /// # Errors
    /// When the file cannot be written or is full.
    pub fn add(&self, timed: &Timed, again: bool) -> Result<Vec<Timed>> {
        let _lock = self.lock()?;
        let mut products = self.read();
        match products.iter_mut().find(|known| known.shape == timed.shape) {
            Some(_) if !again => return Ok(products),
            Some(known) => known.clone_from(timed),
            None => {
                let full = || format!("{} holds {MOST_SHAPES} shapes, which is all that it may; remove it to begin anew", self.path.display());
                ensure!(products.len() < MOST_SHAPES, "{}", full());
                products.push(timed.clone());
            }
        }
        let content = Content { form: FORM, products };
        kept::write(&self.path, &content)?;
        Ok(content.products)
    }

    /// Alone until the result is dropped. The file beside is empty and stays: removed, it would lock nobody out who has it open.
    fn lock(&self) -> Result<File> {
        let path = self.path.with_extension("lock");
        crate::files::create_folder(path.parent().unwrap_or(&path))?;
        let refused = |error: std::io::Error| input_error!("cannot lock {}: {error}", path.display());
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(refused)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(refused(error)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                    return Err(input_error!("another process has locked {} for {} s", path.display(), PATIENCE.as_secs()));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}
