//! Laying a piece of one picture onto another.

use crate::data::augmentation::Sample;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::data::similarity::Similarity;

/// `onto` with the part of `piece` that `shape` marks laid onto it, recoloured; the mask is where it came to lie, empty when beyond the border.
/// All three have one size.
pub(super) fn pasted(onto: &Picture, piece: &Picture, shape: &Mask, how: Similarity, recolour: impl Fn([f32; 3]) -> [f32; 3]) -> Sample {
    let (width, height) = (onto.width(), onto.height());
    let mask = shape.moved(how);
    let mut pixels = onto.pixels().to_vec();
    for (index, pixel) in pixels.chunks_exact_mut(3).enumerate().filter(|(index, _)| mask.pixels()[*index]) {
        let [x, y] = how.origin(index % width, index / width);
        pixel.copy_from_slice(&recolour(between(piece, x, y)));
    }
    Sample { picture: Picture::from_parts(width, height, pixels), mask }
}

/// Bilinear; the border's pixels continue beyond it.
fn between(picture: &Picture, x: f32, y: f32) -> [f32; 3] {
    let (x, y) = (x.clamp(0.0, (picture.width() - 1) as f32), y.clamp(0.0, (picture.height() - 1) as f32));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(picture.width() - 1), (top + 1).min(picture.height() - 1));
    let (u, v) = (x - left as f32, y - top as f32);
    let corners = [picture.pixel(left, top), picture.pixel(right, top), picture.pixel(left, bottom), picture.pixel(right, bottom)];
    std::array::from_fn(|k| {
        let [a, b, c, d] = corners.map(|corner| corner[k]);
        (a + (b - a) * u) * (1.0 - v) + (c + (d - c) * u) * v
    })
}
