//! Measurements of generated data and of what is trained on them, one metric per file.

pub mod accuracy;
mod alignment;
pub mod auroc;
pub mod average_precision;
pub mod classification;
pub mod experiment;
pub mod f1_max;
pub mod filter;
pub mod localization;
pub mod ranking;
pub mod region_overlap;
pub mod scores;
pub mod sources;
pub mod test_set;
#[cfg(test)]
mod tests;

pub use alignment::{Alignment, CHANGE_THRESHOLD};
