//! The method: conditioning, masked textual inversion, blended generation, re-weighting, masks, presets.

pub mod templates;
pub mod reweighting;
pub mod presets;
pub mod latents;
mod paste;
pub mod close_up;
pub mod conditioning;
mod guidance;
pub mod learned;
pub mod inversion;
pub mod embedding_files;
mod fitting;
pub mod learned_masks;
pub mod shard;
pub mod mask_set;
pub mod mask_source;
pub mod places;
pub mod generation;
pub mod generated_set;
pub mod production;
