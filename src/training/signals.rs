//! Signals that ask a run to end: the loop looks here between steps, saves its state and returns [`Interrupted`].
//!
//! SIGINT (control-C), SIGTERM (schedulers) and SIGUSR1 (warning of a preemption) are noted; a second SIGINT ends the process at once. SIGPIPE needs
//! nothing: Rust's runtime ignores it, and a write to a closed pipe is an ordinary error.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use libc::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;

use crate::error::{Context, Error, Interrupted, Result};

/// The last signal that came; 0 before the first.
static LAST: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From here on the signals are noted rather than deadly. The command line calls it before a command that looks here. Calling it again does nothing.
pub fn install() -> Result<()> {
    let mut outcome = Ok(());
    LAST.get_or_init(|| {
        let last = Arc::new(AtomicUsize::new(0));
        outcome = register(&last);
        last
    });
    outcome.context("cannot listen for signals")
}

fn register(last: &Arc<AtomicUsize>) -> io::Result<()> {
    let pressed = Arc::new(AtomicBool::new(false));
    // The order matters: at the first SIGINT the condition is still false when it is asked, and set right after.
    flag::register_conditional_shutdown(SIGINT, 128 + SIGINT, Arc::clone(&pressed))?;
    flag::register(SIGINT, pressed)?;
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        flag::register_usize(signal, Arc::clone(last), signal.unsigned_abs() as usize)?;
    }
    Ok(())
}

/// From here on a write beyond the limit on a file's size (`ulimit -f`) is an error like that of a full disk, and no signal that ends the process.
pub fn outlive_file_size_limit() -> Result<()> {
    // A handler that does nothing of use: the write returns its error once the signal is not deadly.
    flag::register(SIGXFSZ, Arc::default()).map(drop).context("cannot listen for signals")
}

/// The signal that asked this process to end, if one did.
pub fn interrupted() -> Option<i32> {
    let signal = LAST.get()?.load(Ordering::Relaxed);
    (signal != 0).then_some(signal as i32)
}

/// The error that a loop returns after it has saved its state.
pub fn interruption() -> Option<Error> {
    interrupted().map(|signal| Error::new(Interrupted { signal }))
}

/// Ends a loop that has nothing to save.
///
/// # Errors
/// [`interruption`], after a signal.
pub fn check() -> Result<()> {
    interruption().map_or(Ok(()), Err)
}
