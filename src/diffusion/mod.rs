//! The noise process and its reversal: schedule, DDIM steps, guidance. Knows nothing of anomalies.

mod combine;
mod config;
pub mod ddim;
mod guidance;
mod schedule;

pub use config::{ScheduleConfig, Spacing};
pub use guidance::guide;
pub use schedule::{Prediction, Schedule};

#[cfg(test)]
mod tests;
