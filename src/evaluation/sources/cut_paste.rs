//! CutPaste: "CutPaste: self-supervised learning for anomaly detection and localization" (Li et al., CVPR 2021), both of its kinds.

use super::paste::pasted;
use crate::data::augmentation::Sample;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::data::similarity::Similarity;
use crate::tensor::random::Sampler;

/// A patch (2 to 15 % of the picture, sides 0.3 to 3.3) or a scar (2 to 16 by 10 to 25 of 256 pixels, turned by up to 45 degrees) of a square normal
/// picture, its brightness, contrast and saturation changed by up to a tenth, pasted at another place of it.
pub(super) fn draw(normal: &Picture, sampler: &mut Sampler) -> Sample {
    let side = normal.width() as f32;
    let (size, degrees) = if sampler.chance(0.5) {
        let area = sampler.range(0.02, 0.15) * side * side;
        let aspect = if sampler.chance(0.5) { sampler.range(0.3, 1.0) } else { sampler.range(1.0, 3.3) };
        ([(area * aspect).sqrt(), (area / aspect).sqrt()], 0.0)
    } else {
        let unit = side / 256.0;
        ([sampler.range(2.0, 16.0) * unit, sampler.range(10.0, 25.0) * unit], sampler.range(-45.0, 45.0))
    };
    let half = size.map(|length| (length / 2.0).clamp(0.5, side / 2.0));
    let place = |sampler: &mut Sampler| half.map(|half| sampler.range(half, side - half) - 0.5);
    let (from, to) = (place(sampler), place(sampler));
    let within = |position: usize, axis: usize| (position as f32 - from[axis]).abs() <= half[axis];
    let shape = Mask::from_fn(normal.width(), normal.height(), |column, row| within(column, 0) && within(row, 1));
    let jitter = [0; 3].map(|_| sampler.range(0.9, 1.1));
    pasted(normal, normal, &shape, Similarity { from, to, degrees, scale: 1.0, mirrored: false }, |color| jittered(color, jitter))
}

/// Brightness, contrast and saturation multiplied.
fn jittered(color: [f32; 3], [brightness, contrast, saturation]: [f32; 3]) -> [f32; 3] {
    let bright = color.map(|x| ((x + 1.0) * brightness - 1.0) * contrast);
    let grey = bright.iter().sum::<f32>() / 3.0;
    bright.map(|x| (grey + (x - grey) * saturation).clamp(-1.0, 1.0))
}
