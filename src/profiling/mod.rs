//! Measuring: time, arithmetic and memory of the models.

pub mod arithmetic;
mod ceilings;
mod kept;
mod occupancy;
mod operations;
pub mod prediction;
mod random_model;
pub mod summary;
mod timing;
pub mod trace;
pub mod tuning;
pub mod verification;
pub mod workload;

pub use ceilings::Ceilings;
pub use random_model::{FastNoise, Preset};
pub use timing::{Timing, measure};

#[cfg(test)]
mod tests;
