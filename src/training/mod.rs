//! Training loop, optimiser, checkpoint, resume, logging.

pub mod adamw;
pub mod ema;
pub mod schedule;
