//! The networks: one folder each, named and configured as in their checkpoints.

pub mod blocks;
pub mod config;
pub mod unet;
pub mod vae;
