//! The normal image's own pixels where nothing was to change.

use crate::data::mask::Mask;
use crate::data::picture::Picture;

/// Replaces everything outside the mask by the normal image, with a soft edge of `feather` times the shorter side outside the mask. Beyond the edge
/// pixels are the normal image's exactly; inside the mask they are the generated ones exactly. The sizes of all three agree.
pub fn paste(generated: &Picture, normal: &Picture, mask: &Mask, feather: f64) -> Picture {
    let shorter = generated.width().min(generated.height()) as f64;
    let alpha = mask.feathered((feather * shorter) as f32);
    let pixels = generated.pixels().iter().zip(normal.pixels()).enumerate().map(|(index, (&new, &old))| match alpha[index / 3] {
        0.0 => old,
        1.0 => new,
        share => old + share * (new - old),
    });
    Picture::from_parts(generated.width(), generated.height(), pixels.collect())
}
