//! Measurements of generated data, one metric per file.

mod alignment;

pub use alignment::{Alignment, CHANGE_THRESHOLD};
