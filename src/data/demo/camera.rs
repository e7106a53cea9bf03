//! The inspection station: one light from the upper left, one camera above, small variations from picture to picture.

use rayon::prelude::*;

use crate::data::drawing::{Canvas, Color, Film, Light, Material, Point, point};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::tensor::random::Sampler;

/// What is at one point of the scene.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surface {
    /// Above the ground, in canvas units.
    pub height: f32,
    /// How it answers to light.
    pub material: Material,
    /// 0 lit to 1 hidden from the light.
    pub shadow: f32,
    /// Highlight on top of the material's own, for finishes that the height field does not resolve.
    pub sheen: f32,
    /// How much of the point the defect has changed, 0 to 1.
    pub defect: f32,
}

impl Surface {
    /// A lit, undamaged surface.
    pub(super) fn new(height: f32, material: Material) -> Self {
        Self { height, material, shadow: 0.0, sheen: 0.0, defect: 0.0 }
    }

    /// This surface at 0, `other` at 1.
    pub(super) fn mix(self, other: Self, share: f32) -> Self {
        let mix = |a: f32, b: f32| a + (b - a) * share;
        Self {
            height: mix(self.height, other.height),
            material: Material {
                color: self.material.color.mix(other.material.color, share),
                specular: mix(self.material.specular, other.material.specular),
                shininess: mix(self.material.shininess, other.material.shininess),
                metal: mix(self.material.metal, other.material.metal),
            },
            shadow: mix(self.shadow, other.shadow),
            sheen: mix(self.sheen, other.sheen),
            defect: mix(self.defect, other.defect),
        }
    }
}

/// Light and film of one exposure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Camera {
    pub light: Light,
    film: Film,
    /// Fall-off of the light across the picture.
    gradient: Point,
}

/// Samples per pixel and axis.
const SAMPLES: usize = 3;
/// Share of a pixel that a defect must have changed for the pixel to be in the mask.
const MASKED_SHARE: f32 = 0.3;

impl Camera {
    /// The station on some day.
    pub(super) fn draw(sampler: &mut Sampler) -> Self {
        let azimuth = sampler.range(-2.5, -2.1);
        let mut light = Light::new(azimuth, sampler.range(0.75, 0.95), sampler.range(0.92, 1.08), sampler.range(0.24, 0.3));
        // A slightly warm lamp in a slightly cool room.
        let warmth = sampler.range(0.0, 0.05);
        light.color = light.color.tint(Color::rgb(1.0 + warmth, 1.0, 1.0 - warmth));
        light.ambient = light.ambient.tint(Color::rgb(1.0 - warmth, 1.0, 1.0 + warmth));
        let film = Film {
            exposure: sampler.range(0.96, 1.04),
            vignette: sampler.range(0.1, 0.25),
            grain: sampler.range(0.007, 0.012),
            seed: sampler.word(),
        };
        Self { light, film, gradient: Point::at_angle(azimuth) * sampler.range(0.15, 0.35) }
    }

    /// The picture of a scene, and where its defect is.
    pub(super) fn photograph(&self, size: usize, scene: impl Fn(Point) -> Surface + Sync) -> (Picture, Mask) {
        let side = size * SAMPLES;
        let step = 1.0 / side as f32;
        let surfaces: Vec<Surface> = (0..side * side)
            .into_par_iter()
            .map(|index| scene(point(((index % side) as f32 + 0.5) * step - 0.5, ((index / side) as f32 + 0.5) * step - 0.5)))
            .collect();
        let mut canvas = Canvas::new(size, size, SAMPLES, Color::BLACK);
        canvas.paint(|p, _| {
            let sample = |x: f32| (((x + 0.5) * side as f32) as usize).min(side - 1);
            let (column, row) = (sample(p.x), sample(p.y));
            let surface = &surfaces[row * side + column];
            let normal = normal(&surfaces, side, column, row);
            let shaded = self.light.shade(&surface.material, normal, surface.shadow);
            (shaded + self.light.color * (surface.sheen * (1.0 - surface.shadow))) * (1.0 + self.gradient.dot(p))
        });
        (canvas.develop(&self.film), mask(&surfaces, size))
    }
}

fn normal(surfaces: &[Surface], side: usize, column: usize, row: usize) -> [f32; 3] {
    let height = |column: usize, row: usize| surfaces[row * side + column].height;
    let last = side - 1;
    let scale = 0.5 * side as f32;
    let across = (height((column + 1).min(last), row) - height(column.saturating_sub(1), row)) * scale;
    let down = (height(column, (row + 1).min(last)) - height(column, row.saturating_sub(1))) * scale;
    let length = (across * across + down * down + 1.0).sqrt();
    [-across / length, -down / length, 1.0 / length]
}

fn mask(surfaces: &[Surface], size: usize) -> Mask {
    let side = size * SAMPLES;
    Mask::from_fn(size, size, |column, row| {
        let samples = (0..SAMPLES * SAMPLES).map(|index| (row * SAMPLES + index / SAMPLES) * side + column * SAMPLES + index % SAMPLES);
        samples.map(|index| surfaces[index].defect).sum::<f32>() >= MASKED_SHARE * (SAMPLES * SAMPLES) as f32
    })
}
