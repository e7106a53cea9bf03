//! The method: conditioning, masked textual inversion, blended generation, re-weighting, masks, presets.

pub mod templates;
pub mod reweighting;
pub mod presets;
pub mod latents;
