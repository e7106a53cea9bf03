//! Measurements of generated data and of what is trained on them, one metric per file.

pub mod ablation;
pub mod accuracy;
pub mod alignment;
pub mod auroc;
pub mod average_precision;
pub mod classification;
pub mod cluster_diversity;
pub mod curve;
pub mod experiment;
pub mod f1_max;
pub mod filter;
pub mod grid;
pub mod inception_score;
pub mod kernel_distance;
pub mod localization;
pub mod quality;
pub mod ranking;
pub mod region_overlap;
pub mod scores;
pub mod sources;
pub mod test_set;
#[cfg(test)]
mod tests;
