//! Data sets, images, augmentation, procedural data.
