//! Learns an industrial defect from a handful of pictures and generates pixel-aligned defect image/mask pairs: AnomalyDiffusion (AAAI 2024) on a
//! from-scratch engine.
//!
//! The modules stand in layer order: each uses only those before it.

pub mod error;
pub mod files;
pub mod digest;
pub mod process;
pub mod device;
pub mod tensor;
pub mod autograd;
pub mod ops;
pub mod nn;
pub mod weights;
pub mod models;
pub mod diffusion;
pub mod data;
pub mod anomaly;
pub mod training;
pub mod evaluation;
pub mod report;
pub mod profiling;
pub mod cli;
pub mod testing;
