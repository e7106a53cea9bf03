//! Writing on other threads: compressing and syncing PNG files must not hold up the next batch. A thread takes batches in turn and shares a batch's files
//! out among the pool's, if that has others than the computing one; lines follow in the order of the pairs when all files of a batch are on the disk.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rayon::prelude::*;

use super::manifest::{Entry, Manifest};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::{Context, Result, anyhow};

/// Batches that may wait for the disk before the computation has to.
const QUEUE: usize = 2;

/// A finished pair on its way to the disk.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The image.
    pub image: Picture,
    /// The mask, of the image's size.
    pub mask: Mask,
    /// Its line.
    pub entry: Entry,
}

/// Writes pairs and, in the order given, their lines.
pub struct Writer {
    sender: Option<SyncSender<Vec<Finished>>>,
    thread: Option<JoinHandle<Result<Manifest>>>,
}

impl Writer {
    pub(super) fn start(root: PathBuf, mut manifest: Manifest) -> Result<Self> {
        let (sender, receiver) = sync_channel::<Vec<Finished>>(QUEUE);
        let work = move || {
            for batch in receiver {
                // The pool's only thread computes, or waits for this one.
                if rayon::current_num_threads() > 1 {
                    batch.par_iter().try_for_each(|pair| write(&root, pair))?;
                } else {
                    batch.iter().try_for_each(|pair| write(&root, pair))?;
                }
                manifest.append(batch.into_iter().map(|pair| pair.entry).collect())?;
            }
            Ok(manifest)
        };
        let thread = std::thread::Builder::new().name("pair writer".into()).spawn(work).context("starting the writing thread")?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Queues a batch.
    ///
    /// # Errors
    /// What stopped the writing, of this batch or an earlier one.
    pub fn add(&mut self, batch: Vec<Finished>) -> Result<()> {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(batch).is_ok());
        if sent { Ok(()) } else { Err(self.finish().err().unwrap_or_else(|| anyhow!("the writing thread has ended"))) }
    }

    /// Waits until everything queued is on the disk.
    pub fn finish(&mut self) -> Result<()> {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result.map(|_| ()),
            Some(Err(_)) => Err(anyhow!("the writing thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Pairs that are finished are kept even when something else went wrong; the first error is the one to show.
        let _ = self.finish();
    }
}

fn write(root: &Path, pair: &Finished) -> Result<()> {
    pair.image.save(&root.join(&pair.entry.image))?;
    pair.mask.save(&root.join(&pair.entry.mask))
}
