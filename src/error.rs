//! Errors as the user meets them: what was expected, what was found, where, and which exit code follows.
//!
//! Everything travels as [`anyhow::Error`]; two marker types decide the exit code. Use [`invalid_input!`](crate::invalid_input)
//! for anything the user can correct (arguments, files, data), plain `bail!` for the rest.

use std::fmt;

pub use anyhow::{Context, Result, anyhow, bail, ensure};

/// Arguments or input files that the user has to correct: exit code 2.
#[derive(Debug)]
pub struct InvalidInput(pub String);

impl fmt::Display for InvalidInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for InvalidInput {}

/// A GPU's memory is full. The user can ask for less, so the exit code is 2.
#[derive(Debug)]
pub struct MemoryFull(pub String);

impl fmt::Display for MemoryFull {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for MemoryFull {}

/// Whether a GPU's memory was full.
pub fn is_memory_full(error: &Error) -> bool {
    error.chain().any(|cause| cause.is::<MemoryFull>())
}

/// The run was interrupted by a signal after its state was saved: exit code 128 + signal (130 for SIGINT).
#[derive(Debug)]
pub struct Interrupted {
    /// The signal's number (2 SIGINT, 15 SIGTERM).
    pub signal: i32,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "interrupted by signal {}; the state is saved, the same command goes on with it (train, train-masks and pretrain: with --resume)",
            self.signal
        )
    }
}

impl std::error::Error for Interrupted {}

/// Builds an [`anyhow::Error`] that ends the program with exit code 2.
#[macro_export]
macro_rules! input_error {
    ($($argument:tt)*) => { $crate::error::Error::new($crate::error::InvalidInput(format!($($argument)*))) };
}

/// Returns early with an error that ends the program with exit code 2.
#[macro_export]
macro_rules! invalid_input {
    ($($argument:tt)*) => { return Err($crate::input_error!($($argument)*)) };
}

pub use anyhow::Error;

/// The process exit code of an error: 2 for [`InvalidInput`] and [`MemoryFull`], 128 + signal for [`Interrupted`], 1 for anything else.
pub fn exit_code(error: &Error) -> i32 {
    for cause in error.chain() {
        if cause.is::<InvalidInput>() || cause.is::<MemoryFull>() {
            return 2;
        }
        if let Some(interrupted) = cause.downcast_ref::<Interrupted>() {
            return 128 + interrupted.signal;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_survive_added_context() {
        let input = input_error!("steps is 0, expected at least 1").context("in --steps");
        assert_eq!(exit_code(&input), 2);
        let full = Error::new(MemoryFull("no room".to_owned())).context("generate");
        assert_eq!(exit_code(&full), 2);
        assert!(is_memory_full(&full) && !is_memory_full(&input));
        let interrupted = Error::new(Interrupted { signal: 2 }).context("train");
        assert_eq!(exit_code(&interrupted), 130);
        assert_eq!(exit_code(&anyhow!("disk full")), 1);
    }
}
