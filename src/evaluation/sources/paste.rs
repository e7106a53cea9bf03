//! Laying a piece of one picture onto another.

use crate::data::augmentation::Sample;
use crate::data::mask::Mask;
use crate::data::picture::Picture;

/// How a piece is moved: what is at `from` comes to `to` (column, row), turned, scaled and perhaps mirrored about that point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub from: [f32; 2],
    pub to: [f32; 2],
    pub degrees: f32,
    pub scale: f32,
    pub mirrored: bool,
}

impl Move {
    /// Where the pixel that comes to (column, row) was.
    fn origin(&self, column: usize, row: usize) -> [f32; 2] {
        let (sine, cosine) = self.degrees.to_radians().sin_cos();
        let (x, y) = ((column as f32 - self.to[0]) / self.scale, (row as f32 - self.to[1]) / self.scale);
        let (across, down) = (cosine * x + sine * y, cosine * y - sine * x);
        [self.from[0] + if self.mirrored { -across } else { across }, self.from[1] + down]
    }
}

/// `onto` with the part of `piece` that `shape` marks laid onto it, recoloured; the mask is where it came to lie, empty when beyond the border.
/// All three have one size.
pub(super) fn pasted(onto: &Picture, piece: &Picture, shape: &Mask, how: Move, recolour: impl Fn([f32; 3]) -> [f32; 3]) -> Sample {
    let (width, height) = (onto.width(), onto.height());
    let mut pixels = onto.pixels().to_vec();
    let mut inside = vec![false; width * height];
    for index in 0..width * height {
        let [x, y] = how.origin(index % width, index / width);
        let (column, row) = (x.round(), y.round());
        if column < 0.0 || row < 0.0 || column >= width as f32 || row >= height as f32 || !shape.at(column as usize, row as usize) {
            continue;
        }
        inside[index] = true;
        pixels[3 * index..3 * index + 3].copy_from_slice(&recolour(between(piece, x, y)));
    }
    Sample { picture: Picture::from_parts(width, height, pixels), mask: Mask::from_parts(width, height, inside) }
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
