//! Results on stdout.

use std::io::Write;

use serde::Serialize;

use crate::error::{Context, Result};
use crate::process::printable;

/// Prints [`printable`] text and a line end. A closed pipe (`anodiff … | head`) is not an error: nobody is left to read.
pub fn line(text: impl std::fmt::Display) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", printable(&text.to_string())) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("writing to stdout"),
    }
}

/// Prints `value` as one line of JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    line(serde_json::to_string(value).context("a result as JSON")?)
}
