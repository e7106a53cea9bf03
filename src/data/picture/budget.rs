//! How much memory image files may take while they are loaded.

use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::{invalid_input, process};

/// The most memory that all image files that are being loaded hold at once, in bytes: file, decoded samples, the decoder's buffers and the result.
///
/// One file may take all of it. That is enough for 143 megapixels of 8-bit RGB or 100 of 16-bit RGB as a picture (12 bytes per pixel beside the samples), and
/// for 20000 x 20000 pixels of a mask in PNG.
pub const MOST_BYTES: u64 = 2 << 30;
/// From here on it is asked whether there is as much memory before it is used.
const LARGE: u64 = 64 << 20;

static TAKEN: Mutex<u64> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// A part of the budget; it is given back when this is dropped. A thread that holds one must not take another, nor wait for other threads.
#[derive(Debug)]
pub(super) struct Share {
    bytes: u64,
}

impl Share {
    /// Takes what the file at `path`, of `width` x `height` pixels, needs. Waits while other threads hold too much.
    ///
    /// # Errors
    /// When it is more than [`MOST_BYTES`], or more than the system gives (exit code 2).
    pub(super) fn take(path: &Path, [width, height]: [u32; 2], bytes: u64) -> Result<Self> {
        check(path, [width, height], bytes)?;
        let mut taken = taken();
        while *taken + bytes > MOST_BYTES {
            taken = FREED.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += bytes;
        drop(taken);
        let share = Self { bytes };
        if bytes >= LARGE && !usize::try_from(bytes).is_ok_and(process::would_get) {
            let needed = bytes >> 20;
            invalid_input!(
                "{path:?} has {width}x{height} pixels, which take {needed} MiB to load, and the system does not give as much; free memory, raise the limit \
                 (ulimit -v), or scale the file down first"
            );
        }
        Ok(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *taken() -= self.bytes;
        FREED.notify_all();
    }
}

/// Refuses a file that needs more than all of the budget.
pub(super) fn check(path: &Path, [width, height]: [u32; 2], bytes: u64) -> Result<()> {
    if bytes > MOST_BYTES {
        let (needed, most) = (bytes >> 20, MOST_BYTES >> 20);
        invalid_input!("{path:?} has {width}x{height} pixels, which take {needed} MiB to load; expected at most {most} MiB: scale it down first");
    }
    Ok(())
}

fn taken() -> MutexGuard<'static, u64> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn threads_never_take_more_than_there_is() {
        let (taken, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let bytes = MOST_BYTES / 5 * 2;
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let share = Share::take(Path::new("shared.png"), [1, 1], bytes).unwrap();
                    most.fetch_max(taken.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    taken.fetch_sub(bytes, Ordering::SeqCst);
                    drop(share);
                });
            }
        });
        assert!(most.into_inner() <= MOST_BYTES);
        let error = Share::take(Path::new("huge.png"), [7, 9], MOST_BYTES + 1).unwrap_err();
        assert!(error.to_string().contains("7x9") && error.to_string().contains("at most 2048 MiB"), "{error}");
    }
}
