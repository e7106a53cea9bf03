//! Data sets, images, augmentation, procedural data.

pub mod rectangle;
pub mod resample;
pub mod similarity;
pub mod picture;
pub mod json_lines;
pub mod mask;
pub mod dataset;
pub mod augmentation;
pub mod drawing;
pub mod demo;
pub mod export;
pub mod foreground;
pub mod mask_rules;
pub mod procedural_masks;
pub mod pretraining;
