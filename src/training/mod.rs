//! Training loop, optimiser, checkpoint, resume, logging.

pub mod adamw;
pub mod checkpoint;
pub mod ema;
pub mod progress;
pub mod schedule;
