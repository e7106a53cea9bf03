//! A turned steel washer on dark cloth; it gets paint on it and rusts.

use std::f32::consts::TAU;

use super::camera::{Camera, Surface};
use super::mark::Splash;
use crate::data::drawing::{Color, Light, Material, Noise, Placement, Point, mix, point, sdf, smooth_step};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::tensor::random::Sampler;

const OUTER: f32 = 0.385;
const INNER: f32 = 0.165;
const THICKNESS: f32 = 0.045;
/// The middle of the face.
const MIDDLE: f32 = 0.5 * (OUTER + INNER);

pub(super) fn draw(size: usize, defect: Option<usize>, sampler: &mut Sampler) -> (Picture, Mask) {
    let camera = Camera::draw(sampler);
    let washer = Washer::draw(sampler, camera.light);
    let damage = defect.map(|kind| if kind == 0 { Damage::paint(sampler) } else { Damage::rust(sampler) });
    camera.photograph(size, |p| washer.at(p, damage.as_ref()))
}

struct Washer {
    placement: Placement,
    light: Light,
    cloth: Noise,
    cloth_angle: f32,
    steel: Noise,
    /// Brightness of the steel.
    tone: f32,
}

impl Washer {
    fn draw(sampler: &mut Sampler, light: Light) -> Self {
        let center = point(sampler.range(-0.025, 0.025), sampler.range(-0.025, 0.025));
        Self {
            placement: Placement { center, angle: sampler.range(0.0, TAU), scale: sampler.range(0.97, 1.03) },
            light,
            cloth: Noise::new(sampler.word()),
            cloth_angle: sampler.range(-0.12, 0.12),
            steel: Noise::new(sampler.word()),
            tone: sampler.range(0.92, 1.06),
        }
    }

    fn at(&self, p: Point, damage: Option<&Damage>) -> Surface {
        let q = self.placement.to_object(p);
        let ring = sdf::ring(q, INNER, OUTER);
        let share = sdf::coverage(ring, 0.004);
        let mut surface = if share < 1.0 { self.cloth(p) } else { self.face(q, ring) };
        if share > 0.0 && share < 1.0 {
            surface = surface.mix(self.face(q, ring), share);
        }
        match damage {
            Some(damage) if share > 0.0 => damage.change(surface, q, share),
            _ => surface,
        }
    }

    /// Plain weave of coarse threads, in the washer's shadow.
    fn cloth(&self, p: Point) -> Surface {
        let u = self.cloth.warp(p, 0.3, 0.006).rotated(self.cloth_angle) * 40.0;
        let thread = |along: f32, across: f32| {
            let over = 0.5 + 0.5 * ((along + across.floor()) * std::f32::consts::PI).sin();
            (across.fract() - 0.5).abs().mul_add(-2.0, 1.0).abs().sqrt() * mix(0.35, 1.0, over)
        };
        let (warp, weft) = (thread(u.y, u.x + 100.0), thread(u.x + 1.0, u.y + 100.0));
        let lift = warp.max(weft);
        let tone = mix(0.65, 1.1, lift) * (1.0 + 0.12 * self.cloth.fbm(p * 9.0, 3)) * (1.0 + 0.1 * self.cloth.fork(3).value(u * 3.0));
        let material = Material { color: Color::srgb(0.20, 0.235, 0.30) * tone, specular: 0.02, shininess: 6.0, metal: 0.0 };
        let mut surface = Surface::new(0.004 * lift, material);
        let cast = |height: f32, soft: f32| {
            let source = self.placement.to_object(p - self.light.shadow_offset(height));
            sdf::coverage(sdf::ring(source, INNER, OUTER), soft)
        };
        // The edge near the ground casts a sharper shadow than the upper one.
        surface.shadow = 0.8 * (0.5 * cast(0.5 * THICKNESS, 0.02) + 0.5 * cast(THICKNESS, 0.05));
        let contact = sdf::coverage(sdf::ring(self.placement.to_object(p), INNER, OUTER), 0.05);
        surface.material.color = surface.material.color * (1.0 - 0.6 * contact);
        surface
    }

    /// The turned face: fine grooves, chamfered edges, and the bow-tie highlight of circular brushing.
    fn face(&self, q: Point, ring: f32) -> Surface {
        let radius = q.length();
        let groove = self.steel.value(point(radius * 230.0, 0.4 * q.angle())) + 0.6 * self.steel.fork(1).value(point(radius * 90.0, 3.0));
        let chamfer = smooth_step(0.0, 0.022, -ring);
        let height = THICKNESS * mix(0.45, 1.0, chamfer) + 0.00022 * groove;
        let stain = self.steel.fork(2).fbm(q * 6.0, 3);
        let color = Color::srgb(0.60, 0.61, 0.63) * (self.tone * (1.0 + 0.05 * groove + 0.06 * stain));
        let mut surface = Surface::new(height, Material { color, specular: 0.35, shininess: 24.0, metal: 0.7 });
        let tangent = point(-q.y, q.x).rotated(self.placement.angle) * (1.0 / radius.max(1e-3));
        let [x, y, z] = self.light.direction;
        let along = point(x, y).dot(tangent) / (2.0 + 2.0 * z).sqrt();
        surface.sheen = self.tone * chamfer * (1.0 + 0.25 * groove) * 0.42 * (-(along / 0.16).powi(2)).exp();
        self.stamp(surface, q)
    }

    /// Five short bars pressed into the face.
    fn stamp(&self, mut surface: Surface, q: Point) -> Surface {
        let angle = q.angle();
        let bar = (angle / 0.085).round().clamp(-2.0, 2.0);
        let local = q.rotated(-bar * 0.085) - point(MIDDLE, 0.0);
        let half = if bar == 0.0 { 0.035 } else { 0.022 };
        let pressed = sdf::coverage(sdf::rectangle(local, point(half, 0.0055), 0.004), 0.008);
        surface.height -= 0.006 * pressed;
        surface.sheen *= 1.0 - 0.75 * pressed;
        surface.material.color = surface.material.color * (1.0 - 0.45 * pressed);
        surface
    }
}

/// A defect of the washer, in its own coordinates.
enum Damage {
    Rust { splash: Splash, noise: Noise, tone: f32 },
    Paint { splash: Splash, noise: Noise, color: Color },
}

impl Damage {
    fn rust(sampler: &mut Sampler) -> Self {
        let center = Point::at_angle(sampler.range(0.0, TAU)) * (MIDDLE + sampler.range(-0.05, 0.07));
        let size = sampler.range(0.06, 0.09);
        let droplets = sampler.below(4);
        let splash = Splash::new(sampler, center, size, 0.55, droplets);
        Self::Rust { splash, noise: Noise::new(sampler.word()), tone: sampler.range(0.7, 1.2) }
    }

    fn paint(sampler: &mut Sampler) -> Self {
        let center = Point::at_angle(sampler.range(0.0, TAU)) * (MIDDLE + sampler.range(-0.04, 0.04));
        let size = sampler.range(0.055, 0.085);
        let droplets = sampler.below(3);
        let splash = Splash::new(sampler, center, size, 0.3, droplets);
        let color = Color::hsv(sampler.uniform(), sampler.range(0.65, 0.9), sampler.range(0.45, 0.75));
        Self::Paint { splash, noise: Noise::new(sampler.word()), color }
    }

    fn change(&self, surface: Surface, q: Point, share: f32) -> Surface {
        match self {
            Self::Rust { splash, noise, tone } => {
                let edge = splash.distance(q) + 0.012 * noise.fbm(q * 45.0, 2);
                let cover = share * sdf::coverage(edge, 0.012);
                let crust = noise.fork(1).fbm(q * 38.0, 3);
                let color = Color::srgb(0.62, 0.30, 0.10).mix(Color::srgb(0.29, 0.12, 0.06), smooth_step(-0.35, 0.4, crust)) * *tone;
                let rusty = Material { color, specular: 0.03, shininess: 6.0, metal: 0.0 };
                let top = Surface { height: surface.height + 0.004 * (1.0 + crust), material: rusty, sheen: 0.0, defect: 1.0, ..surface };
                surface.mix(top, cover)
            }
            Self::Paint { splash, noise, color } => {
                let edge = splash.distance(q);
                let cover = share * sdf::coverage(edge, 0.008);
                // Thinner towards its rim and in patches, where the steel shines through.
                let thin = (0.25 * smooth_step(-0.02, 0.0, edge)).max(0.6 * smooth_step(0.0, 0.8, noise.fbm(q * 24.0, 3) + 0.1));
                let paint = Material { color: color.mix(surface.material.color, thin), specular: 0.5, shininess: 40.0, metal: 0.0 };
                let top = Surface { height: surface.height + 0.003, material: paint, sheen: 0.3 * surface.sheen, defect: 1.0, ..surface };
                surface.mix(top, cover)
            }
        }
    }
}
