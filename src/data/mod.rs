//! Data sets, images, augmentation, procedural data.

pub mod drawing;
pub mod picture;
