//! Grained brown leather; it gets cut, and glue drops on it.

use std::f32::consts::TAU;

use super::camera::{Camera, Surface};
use crate::data::drawing::{Blob, Color, Material, Noise, Placement, Point, Stroke, mix, point, sdf, smooth_step};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::tensor::random::Sampler;

pub(super) fn draw(size: usize, defect: Option<usize>, sampler: &mut Sampler) -> (Picture, Mask) {
    let camera = Camera::draw(sampler);
    let hide = Hide::draw(sampler);
    let damage = defect.map(|kind| if kind == 0 { Damage::cut(sampler) } else { Damage::glue(sampler) });
    camera.photograph(size, |p| {
        let surface = hide.at(p);
        damage.as_ref().map_or(surface, |damage| damage.change(surface, p))
    })
}

struct Hide {
    placement: Placement,
    color: Color,
    noise: Noise,
}

impl Hide {
    fn draw(sampler: &mut Sampler) -> Self {
        let center = point(sampler.range(-50.0, 50.0), sampler.range(-50.0, 50.0));
        Self {
            placement: Placement { center, angle: sampler.range(-0.3, 0.3), scale: sampler.range(0.94, 1.06) },
            color: Color::hsv(0.066 + sampler.range(-0.006, 0.006), sampler.range(0.66, 0.72), sampler.range(0.52, 0.58)),
            noise: Noise::new(sampler.word()),
        }
    }

    fn at(&self, p: Point) -> Surface {
        let q = self.placement.to_object(p);
        let grain = |scale: f32, index: u32| {
            let noise = self.noise.fork(index);
            let cell = noise.cellular(noise.warp(q, 0.12, 0.02) * scale, 0.9);
            (smooth_step(0.0, 0.36, cell.second - cell.nearest), cell.value)
        };
        let ((coarse, value), (fine, _)) = (grain(13.0, 1), grain(30.0, 2));
        let pebble = coarse * (0.88 + 0.12 * fine);
        let rolling = self.noise.fork(3).fbm(q * 2.2, 2);
        let height = 0.0055 * pebble + 0.018 * rolling + 0.0010 * self.noise.fork(4).fbm(q * 60.0, 2);
        let tone = mix(0.60, 1.06, pebble) * (1.0 + 0.10 * (value - 0.5)) * (1.0 + 0.14 * rolling);
        Surface::new(height, Material { color: self.color * tone, specular: 0.20, shininess: 16.0, metal: 0.0 })
    }
}

/// A defect of the leather, in canvas coordinates.
enum Damage {
    Cut { line: Stroke, noise: Noise, depth: f32 },
    Glue { drops: Vec<Blob>, noise: Noise, age: f32 },
}

impl Damage {
    fn cut(sampler: &mut Sampler) -> Self {
        let angle = sampler.range(0.0, TAU);
        let length = sampler.range(0.22, 0.46);
        let middle = point(sampler.range(-0.25, 0.25), sampler.range(-0.25, 0.25));
        let half_width = sampler.range(0.034, 0.055);
        let line = Stroke::wandering(sampler, middle - Point::at_angle(angle) * (0.5 * length), angle, length, half_width, 0.8);
        let noise = Noise::new(sampler.word());
        Self::Cut { line, noise, depth: sampler.range(0.0, 0.5) }
    }

    fn glue(sampler: &mut Sampler) -> Self {
        let center = point(sampler.range(-0.28, 0.28), sampler.range(-0.28, 0.28));
        let size = sampler.range(0.08, 0.125);
        let stretch = sampler.range(0.8, 1.25);
        let mut drops = vec![Blob::new(sampler, center, point(size * stretch, size / stretch), 0.13)];
        for _ in 0..sampler.below(3) {
            let away = Point::at_angle(sampler.range(0.0, TAU)) * (size * sampler.range(1.3, 1.7));
            let radius = size * sampler.range(0.2, 0.35);
            drops.push(Blob::new(sampler, center + away, point(radius, radius), 0.05));
        }
        Self::Glue { drops, noise: Noise::new(sampler.word()), age: sampler.range(0.0, 0.6) }
    }

    fn change(&self, surface: Surface, p: Point) -> Surface {
        match self {
            Self::Cut { line, noise, depth } => {
                let edge = line.distance(p) + 0.004 * noise.fbm(p * 60.0, 2);
                let gap = sdf::coverage(edge, 0.008);
                let torn = sdf::coverage(edge - 0.010, 0.014) - gap;
                let fibre = 0.8 + 0.3 * noise.fork(1).value(p * 160.0);
                // Dark where it is deep, with raw leather in sight where it is not.
                let raw = smooth_step(-0.1, 0.7, noise.fork(2).fbm(p * 26.0, 3) + 0.3 - depth);
                let inside = Color::srgb(0.09, 0.05, 0.035).mix(Color::srgb(0.45, 0.29, 0.18), raw);
                let mut changed = surface;
                changed.height += 0.012 * torn - 0.03 * gap;
                changed.material.color = surface.material.color.mix(Color::srgb(0.80, 0.62, 0.43) * fibre, 0.8 * torn).mix(inside, 0.95 * gap);
                changed.material.specular *= 1.0 - (gap + torn).min(1.0);
                changed.defect = (gap + 0.8 * torn).min(1.0);
                changed
            }
            Self::Glue { drops, noise, age } => {
                let edge = drops.iter().map(|drop| drop.distance(p)).fold(f32::MAX, f32::min);
                let cover = sdf::coverage(edge, 0.010);
                // A drop: steep at the rim, flat in the middle; the grain shows through a little.
                let depth = (-edge / 0.055).clamp(0.0, 1.0);
                let bulge = (depth * (2.0 - depth)).sqrt();
                // Milky when fresh; it yellows in patches.
                let yellow = (age + 0.7 * noise.fbm(p * 18.0, 2)).clamp(0.0, 1.0);
                let glue = Color::srgb(0.91, 0.87, 0.74).mix(Color::srgb(0.78, 0.58, 0.26), yellow);
                let color = surface.material.color.mix(glue, mix(0.42, 0.66, bulge));
                let material = Material { color, specular: 1.0, shininess: 45.0, metal: 0.0 };
                surface.mix(Surface { height: mix(surface.height, 0.012, 0.85) + 0.026 * bulge, material, defect: 1.0, ..surface }, cover)
            }
        }
    }
}
