//! The method: conditioning, masked textual inversion, blended generation, re-weighting, masks, presets.
