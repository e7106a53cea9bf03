//! Turning a picture and its mask about their centre, counter-clockwise.

use super::Sample;
use crate::data::mask::Mask;
use crate::data::picture::Picture;

/// Bilinear; beyond the border picture and mask are mirrored alike, so that a mirrored defect is in the mask.
pub(super) fn mirrored(sample: &Sample, degrees: f32) -> Sample {
    let (width, height) = (sample.picture.width(), sample.picture.height());
    let source = Source::new(width, height, degrees);
    let mut pixels = Vec::with_capacity(3 * width * height);
    for index in 0..width * height {
        let (x, y) = source.of(index % width, index / width);
        let (x0, y0) = (x.floor(), y.floor());
        let (u, v) = (x - x0, y - y0);
        let at = |dx: i64, dy: i64| sample.picture.pixel(mirror(x0 as i64 + dx, width), mirror(y0 as i64 + dy, height));
        let (a, b, c, d) = (at(0, 0), at(1, 0), at(0, 1), at(1, 1));
        pixels.extend((0..3).map(|k| (a[k] * (1.0 - u) + b[k] * u) * (1.0 - v) + (c[k] * (1.0 - u) + d[k] * u) * v));
    }
    let mask = Mask::from_fn(width, height, |column, row| {
        let (x, y) = source.of(column, row);
        sample.mask.at(mirror(x.round() as i64, width), mirror(y.round() as i64, height))
    });
    Sample { picture: Picture::from_parts(width, height, pixels), mask }
}

/// Nearest; beyond the border the picture is mid-grey (0) and the mask unset, as `torchvision.transforms.functional.rotate`.
pub(super) fn filled(sample: &Sample, degrees: f32) -> Sample {
    let (width, height) = (sample.picture.width(), sample.picture.height());
    let source = Source::new(width, height, degrees);
    let nearest = |column: usize, row: usize| {
        let (x, y) = source.of(column, row);
        let (x, y) = (x.round_ties_even() as i64, y.round_ties_even() as i64);
        let inside = x >= 0 && y >= 0 && x < width as i64 && y < height as i64;
        inside.then_some((x as usize, y as usize))
    };
    let pixels = (0..width * height).flat_map(|index| match nearest(index % width, index / width) {
        Some((x, y)) => sample.picture.pixel(x, y),
        None => [0.0; 3],
    });
    let picture = Picture::from_parts(width, height, pixels.collect());
    Sample { picture, mask: Mask::from_fn(width, height, |column, row| nearest(column, row).is_some_and(|(x, y)| sample.mask.at(x, y))) }
}

/// Where the pixels of the turned picture come from.
struct Source {
    center: (f32, f32),
    sine: f32,
    cosine: f32,
}

impl Source {
    fn new(width: usize, height: usize, degrees: f32) -> Self {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        Self { center: (0.5 * (width as f32 - 1.0), 0.5 * (height as f32 - 1.0)), sine, cosine }
    }

    /// In pixels from the middle of the first one; y points down, so counter-clockwise output looks clockwise for its source.
    fn of(&self, column: usize, row: usize) -> (f32, f32) {
        let (x, y) = (column as f32 - self.center.0, row as f32 - self.center.1);
        (self.cosine * x - self.sine * y + self.center.0, self.sine * x + self.cosine * y + self.center.1)
    }
}

/// Reflects an index into 0..size about the middles of the border pixels' outer edges.
fn mirror(index: i64, size: usize) -> usize {
    // Nearly always, and a division takes as long as all else here.
    if (0..size as i64).contains(&index) {
        return index as usize;
    }
    let period = 2 * size as i64;
    let folded = index.rem_euclid(period);
    (if folded < size as i64 { folded } else { period - 1 - folded }) as usize
}
