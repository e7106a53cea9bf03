//! The networks: one folder each, named and configured as in their checkpoints.

pub mod config;
pub mod blocks;
pub mod tokenizer;
pub mod clip;
pub mod unet;
pub mod vae;
pub mod resnet;
pub mod inception;
pub mod localizer;
pub mod lpips;
pub mod spatial_encoder;
pub mod base;
