//! Data sets, images, augmentation, procedural data.

pub mod rectangle;
pub mod resample;
pub mod picture;
pub mod mask;
pub mod dataset;
pub mod augmentation;
pub mod drawing;
pub mod demo;
pub mod foreground;
pub mod procedural_masks;
pub mod pretraining;
