//! Training loop, optimiser, checkpoint, resume, logging.

pub mod adamw;
pub mod checkpoint;
pub mod ema;
pub mod fit;
pub mod log;
pub mod progress;
pub mod recorder;
pub mod run_folder;
pub mod schedule;
pub mod signals;
pub mod state;
pub mod tensorboard;
pub mod embeddings;
pub mod masks;
pub mod pretraining;
