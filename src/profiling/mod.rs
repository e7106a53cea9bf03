//! Measuring: time, arithmetic and memory of the models.

pub mod arithmetic;
pub mod process;
mod random_model;
mod timing;
pub mod verification;

pub use random_model::{FastNoise, Preset};
pub use timing::{Timing, measure};

#[cfg(test)]
mod tests;
