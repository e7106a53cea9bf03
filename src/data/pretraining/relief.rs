//! The scene as a height field: colour, height and gloss of every sample, lit once at the end, so that weave, dents and edges answer to one light.

use crate::data::drawing::{Canvas, Color, Film, Light, Material, Point, point, sdf};
use crate::data::picture::Picture;
use crate::tensor::random::Sampler;

/// What is known of the scene at one sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) color: Color,
    /// Above the ground, in canvas units (the picture is 1 high).
    pub(super) height: f32,
    /// Strength of the highlight, 0 matt to 1 polished.
    pub(super) gloss: f32,
    /// 0 lit to 1 in the shadow of something.
    pub(super) shadow: f32,
}

impl Sample {
    /// Mixes in another colour: paint, dirt, ink.
    pub(super) fn tint(&mut self, color: Color, share: f32) {
        self.color = self.color.mix(color, share);
    }

    /// Moves towards `other` in every respect.
    pub(super) fn cover(&mut self, other: &Sample, share: f32) {
        self.color = self.color.mix(other.color, share);
        self.height += (other.height - self.height) * share;
        self.gloss += (other.gloss - self.gloss) * share;
        self.shadow += (other.shadow - self.shadow) * share;
    }
}

/// A square height field of `pixels * SAMPLES` samples a side; coordinates as in [`crate::data::drawing`].
#[derive(Clone, Debug)]
pub(super) struct Relief {
    pixels: usize,
    side: usize,
    samples: Vec<Sample>,
}

/// Where a mark is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// A random point of it.
    pub(super) point: Point,
    /// The mean of its points.
    pub(super) middle: Point,
}

/// Samples per pixel and axis.
const SAMPLES: usize = 2;

impl Relief {
    /// Flat ground of one colour.
    pub(super) fn new(pixels: usize, color: Color) -> Self {
        let side = pixels * SAMPLES;
        Self { pixels, side, samples: vec![Sample { color, height: 0.0, gloss: 0.0, shadow: 0.0 }; side * side] }
    }

    /// The size of a pixel in canvas units.
    pub(super) fn pixel(&self) -> f32 {
        1.0 / self.pixels as f32
    }

    /// Changes every sample.
    pub(super) fn paint(&mut self, mut shader: impl FnMut(Point, &mut Sample)) {
        let step = 1.0 / self.side as f32;
        for (row, samples) in self.samples.chunks_mut(self.side).enumerate() {
            let y = (row as f32 + 0.5) * step - 0.5;
            for (column, sample) in samples.iter_mut().enumerate() {
                shader(point((column as f32 + 0.5) * step - 0.5, y), sample);
            }
        }
    }

    /// Changes the samples within `reach` of `center` along both axes; `shader` gets their position in the whole field too.
    pub(super) fn paint_near(&mut self, center: Point, reach: f32, mut shader: impl FnMut(usize, Point, &mut Sample)) {
        let step = 1.0 / self.side as f32;
        let index = |x: f32| (((x + 0.5) * self.side as f32).max(0.0) as usize).min(self.side);
        for row in index(center.y - reach)..index(center.y + reach + step) {
            let y = (row as f32 + 0.5) * step - 0.5;
            for column in index(center.x - reach)..index(center.x + reach + step) {
                let position = row * self.side + column;
                shader(position, point((column as f32 + 0.5) * step - 0.5, y), &mut self.samples[position]);
            }
        }
    }

    /// Lays `top` over this where `inside` (a signed distance) is negative.
    pub(super) fn overlay(&mut self, top: &Relief, mut inside: impl FnMut(Point) -> f32) {
        let softness = self.pixel();
        let mut others = top.samples.iter();
        self.paint(|p, sample| {
            if let Some(other) = others.next() {
                sample.cover(other, sdf::coverage(inside(p), softness));
            }
        });
    }

    /// One share per sample.
    pub(super) fn shares(&self, mut share: impl FnMut(Point) -> f32) -> Vec<f32> {
        (0..self.samples.len()).map(|index| share(self.place(index))).collect()
    }

    /// Where a sample lies.
    fn place(&self, index: usize) -> Point {
        let coordinate = |position: usize| (position as f32 + 0.5) / self.side as f32 - 0.5;
        point(coordinate(index % self.side), coordinate(index / self.side))
    }

    /// Where this differs from `before`, a field of the same size; none where nothing does.
    pub(super) fn changed(&self, before: &Relief, sampler: &mut Sampler) -> Option<Mark> {
        let differs = |(a, b): (&Sample, &Sample)| {
            let color = a.color.0.iter().zip(b.color.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            color > 0.02 || (a.height - b.height).abs() > 0.3 * self.pixel()
        };
        let found: Vec<usize> = self.samples.iter().zip(&before.samples).enumerate().filter(|(_, pair)| differs(*pair)).map(|(i, _)| i).collect();
        (!found.is_empty()).then(|| {
            let sum = found.iter().fold(point(0.0, 0.0), |sum, &index| sum + self.place(index));
            Mark { point: self.place(*sampler.pick(&found)), middle: sum * (1.0 / found.len() as f32) }
        })
    }

    /// The picture under `light`, through `film`.
    pub(super) fn develop(&self, light: &Light, film: &Film) -> Picture {
        let mut canvas = Canvas::new(self.pixels, self.pixels, SAMPLES, Color::BLACK);
        let side = self.side as f32;
        canvas.paint(|p, _| {
            let (column, row) = (((p.x + 0.5) * side) as usize, ((p.y + 0.5) * side) as usize);
            self.lit(column.min(self.side - 1), row.min(self.side - 1), light)
        });
        canvas.develop(film)
    }

    fn lit(&self, column: usize, row: usize, light: &Light) -> Color {
        let at = |column: usize, row: usize| self.samples[row * self.side + column].height;
        let scale = 0.5 * self.side as f32;
        let last = self.side - 1;
        let across = (at((column + 1).min(last), row) - at(column.saturating_sub(1), row)) * scale;
        let down = (at(column, (row + 1).min(last)) - at(column, row.saturating_sub(1))) * scale;
        let length = (across * across + down * down + 1.0).sqrt();
        let sample = &self.samples[row * self.side + column];
        let material = Material { color: sample.color, specular: 0.5 * sample.gloss, shininess: 8.0 + 40.0 * sample.gloss, metal: 0.3 };
        light.shade(&material, [-across / length, -down / length, 1.0 / length], sample.shadow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_found() {
        let clean = Relief::new(16, Color::gray(0.5));
        let mut sampler = Sampler::new(1, "test", &[]);
        assert!(clean.changed(&clean, &mut sampler).is_none());
        let mut marked = clean.clone();
        marked.paint_near(point(0.25, -0.25), 0.05, |_, _, sample| sample.tint(Color::BLACK, 0.5));
        for _ in 0..8 {
            let found = marked.changed(&clean, &mut sampler).unwrap();
            assert!((found.point - point(0.25, -0.25)).length() < 0.1, "{found:?}");
            assert!((found.middle - point(0.25, -0.25)).length() < 0.03, "{found:?}");
        }
    }
}
