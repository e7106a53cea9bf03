//! The canvas and how it becomes a picture.

use rayon::prelude::*;

use super::{Color, Noise, Point, point};
use crate::data::picture::Picture;

/// A picture in linear light, held at several samples per pixel.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    samples: usize,
    /// Row-major, `width * samples` per row.
    colors: Vec<Color>,
}

/// What the camera adds when a canvas becomes a picture.
#[derive(Clone, Copy, Debug)]
pub struct Film {
    /// Brightness factor before encoding.
    pub exposure: f32,
    /// Darkening of the corners, 0 none .. 1 black.
    pub vignette: f32,
    /// Standard deviation of the grain in sRGB units (0.01 is a clean industrial camera).
    pub grain: f32,
    /// Names the grain.
    pub seed: u32,
}

impl Film {
    /// Nothing added.
    pub const NEUTRAL: Self = Self { exposure: 1.0, vignette: 0.0, grain: 0.0, seed: 0 };
}

impl Canvas {
    /// `width` x `height` pixels of `samples` x `samples` samples each (2 or 3 antialias well), filled with one colour. No size may be 0.
    pub fn new(width: usize, height: usize, samples: usize, fill: Color) -> Self {
        assert!(width > 0 && height > 0 && samples > 0, "an empty canvas ({width}x{height}, {samples} samples)");
        Self { width, height, samples, colors: vec![fill; width * height * samples * samples] }
    }

    /// The distance between neighbouring samples in canvas units: the softness that antialiases an outline.
    pub fn sample_size(&self) -> f32 {
        1.0 / (self.height * self.samples) as f32
    }

    /// Half the width in canvas units (half the height is 0.5).
    pub fn half_width(&self) -> f32 {
        0.5 * self.width as f32 / self.height as f32
    }

    /// Replaces every sample by `shader(point, colour beneath)`.
    pub fn paint(&mut self, shader: impl Fn(Point, Color) -> Color + Sync) {
        let (size, half) = (self.sample_size(), self.half_width());
        self.colors.par_chunks_mut(self.width * self.samples).enumerate().for_each(|(row, colors)| {
            let y = (row as f32 + 0.5) * size - 0.5;
            for (column, color) in colors.iter_mut().enumerate() {
                *color = shader(point((column as f32 + 0.5) * size - half, y), *color);
            }
        });
    }

    /// The colours per pixel (samples averaged in linear light), row-major.
    pub fn pixels(&self) -> Vec<Color> {
        let across = self.width * self.samples;
        let share = 1.0 / (self.samples * self.samples) as f32;
        let mut pixels = Vec::with_capacity(self.width * self.height);
        for row in 0..self.height {
            for column in 0..self.width {
                let mut sum = Color::BLACK;
                for y in 0..self.samples {
                    for x in 0..self.samples {
                        sum = sum + self.colors[(row * self.samples + y) * across + column * self.samples + x];
                    }
                }
                pixels.push(sum * share);
            }
        }
        pixels
    }

    /// The finished picture, nothing added.
    pub fn finish(&self) -> Picture {
        self.develop(&Film::NEUTRAL)
    }

    /// The finished picture as `film` records it.
    pub fn develop(&self, film: &Film) -> Picture {
        let noise = Noise::new(film.seed);
        let mut values = Vec::with_capacity(3 * self.width * self.height);
        for (index, color) in self.pixels().into_iter().enumerate() {
            let (row, column) = (index / self.width, index % self.width);
            // From -1 to 1 across each side; 2 in the corners.
            let x = (2 * column + 1) as f32 / self.width as f32 - 1.0;
            let y = (2 * row + 1) as f32 / self.height as f32 - 1.0;
            let light = film.exposure * (1.0 - film.vignette * 0.5 * (x * x + y * y));
            let encoded = (color * light).to_srgb();
            for (channel, level) in encoded.into_iter().enumerate() {
                // The mean of four uniform numbers is close enough to a normal one for grain; its standard deviation is 1/√48.
                let uniform = |draw: usize| noise.fork((4 * channel + draw) as u32).hash(column as i32, row as i32) - 0.5;
                let grain = if film.grain > 0.0 { film.grain * 48_f32.sqrt() * 0.25 * (0..4).map(uniform).sum::<f32>() } else { 0.0 };
                values.push((level + grain).clamp(0.0, 1.0) * 2.0 - 1.0);
            }
        }
        Picture::from_parts(self.width, self.height, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::drawing::sdf;

    #[test]
    fn coordinates_are_centred_and_in_heights() {
        let mut canvas = Canvas::new(4, 2, 1, Color::BLACK);
        canvas.paint(|p, _| Color::rgb(p.x, p.y, 0.0));
        let pixels = canvas.pixels();
        assert_eq!(pixels[0].0, [-0.75, -0.25, 0.0]);
        assert_eq!(pixels[7].0, [0.75, 0.25, 0.0]);
    }

    #[test]
    fn supersampling_gives_the_covered_share() {
        let mut canvas = Canvas::new(32, 32, 4, Color::BLACK);
        canvas.paint(|p, below| below.mix(Color::WHITE, sdf::coverage(sdf::circle(p, 0.3), 1e-6)));
        let area = canvas.pixels().iter().map(|color| color.0[0]).sum::<f32>() / 1024.0;
        assert!((area - std::f32::consts::PI * 0.09).abs() < 2e-3, "{area}");
    }

    #[test]
    fn grain_has_the_asked_strength_and_repeats() {
        let canvas = Canvas::new(64, 64, 1, Color::srgb(0.5, 0.5, 0.5));
        let film = Film { grain: 0.02, seed: 5, ..Film::NEUTRAL };
        let picture = canvas.develop(&film);
        let values = picture.pixels();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt() / 2.0;
        assert!((deviation - 0.02).abs() < 1e-3, "{deviation}");
        assert_eq!(values, canvas.develop(&film).pixels());
    }
}
