//! A glossy two-part capsule on a pale tray; its shell is pierced and gets ink on it.

use super::camera::{Camera, Surface};
use super::mark::Splash;
use crate::data::drawing::{Blob, Color, Light, Material, Noise, Placement, Point, mix, point, sdf, smooth_step};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::tensor::random::Sampler;

/// Half the length of the straight part.
const HALF: f32 = 0.235;
const RADIUS: f32 = 0.155;
/// The cap slides over the body up to here, and is this much thicker.
const JOINT: f32 = -0.015;
const LIP: f32 = 0.007;

pub(super) fn draw(size: usize, defect: Option<usize>, sampler: &mut Sampler) -> (Picture, Mask) {
    let camera = Camera::draw(sampler);
    let capsule = Capsule::draw(sampler, camera.light);
    let damage = defect.map(|kind| if kind == 0 { Damage::hole(sampler) } else { Damage::ink(sampler) });
    camera.photograph(size, |p| capsule.at(p, damage.as_ref()))
}

struct Capsule {
    placement: Placement,
    light: Light,
    cap: Color,
    body: Color,
    tray: Noise,
    shell: Noise,
}

impl Capsule {
    fn draw(sampler: &mut Sampler, light: Light) -> Self {
        let center = point(sampler.range(-0.03, 0.03), sampler.range(-0.03, 0.03));
        Self {
            placement: Placement { center, angle: -0.6 + sampler.range(-0.35, 0.35), scale: sampler.range(0.97, 1.03) },
            light,
            cap: Color::hsv(0.49 + sampler.range(-0.012, 0.012), 0.85, sampler.range(0.46, 0.52)),
            body: Color::hsv(0.11, sampler.range(0.13, 0.18), sampler.range(0.90, 0.94)),
            tray: Noise::new(sampler.word()),
            shell: Noise::new(sampler.word()),
        }
    }

    fn at(&self, p: Point, damage: Option<&Damage>) -> Surface {
        let q = self.placement.to_object(p);
        let outline = outline(q);
        let share = sdf::coverage(outline, 0.004);
        if share <= 0.0 {
            return self.tray(p, outline);
        }
        let shell = self.shell(q);
        let shell = damage.map_or(shell, |damage| damage.change(shell, q));
        if share < 1.0 { self.tray(p, outline).mix(shell, share) } else { shell }
    }

    fn tray(&self, p: Point, outline: f32) -> Surface {
        let brushed = self.tray.fbm(point(p.x * 6.0, p.y * 90.0), 3);
        let color = Color::srgb(0.735, 0.75, 0.765) * (1.0 + 0.05 * brushed + 0.04 * self.tray.fork(1).fbm(p * 3.0, 2));
        let mut surface = Surface::new(0.0004 * brushed, Material { color, specular: 0.12, shininess: 10.0, metal: 0.4 });
        let source = self.placement.to_object(p - self.light.shadow_offset(0.75 * RADIUS));
        let cast = smooth_step(0.075, -0.10, axis_distance(source) - RADIUS);
        let contact = smooth_step(0.05, -0.01, outline);
        surface.shadow = 0.85 * cast.max(0.5 * contact);
        // Light that the shell throws onto the tray beside it.
        let glow = if q_is_cap(self.placement.to_object(p)) { self.cap } else { self.body };
        surface.material.color = surface.material.color.mix(surface.material.color.tint(glow * 2.0), 0.35 * contact) * (1.0 - 0.35 * contact);
        surface
    }

    fn shell(&self, q: Point) -> Surface {
        let radius = shell_radius(q);
        let across = (axis_distance(q) / radius).min(1.0);
        // A round profile, flattened at the rim so that the outline's normals stay finite.
        let height = radius * (1.0 - across * across * 0.985).max(0.0).sqrt();
        let cap = smooth_step(JOINT + 0.004, JOINT - 0.004, q.x);
        let color = self.body.mix(self.cap, cap) * (1.0 + 0.03 * self.shell.fbm(q * 8.0, 2));
        let mut surface =
            Surface::new(height + 0.0006 * self.shell.fork(1).fbm(q * 5.0, 2), Material { color, specular: 0.75, shininess: 55.0, metal: 0.0 });
        // The groove that locks the two parts, and the dark line under the lip.
        let groove = (-((q.x + 0.075) / 0.009).powi(2)).exp() + (-((q.x - 0.055) / 0.009).powi(2)).exp();
        surface.height -= 0.004 * groove;
        let seam = sdf::coverage((q.x - JOINT - 0.006).abs() - 0.004, 0.008);
        let print = print(q);
        surface.material.color = (color * (1.0 - 0.45 * seam)).mix(Color::srgb(0.10, 0.22, 0.27), 0.88 * print);
        surface
    }
}

/// Distance to the capsule's axis.
fn axis_distance(q: Point) -> f32 {
    sdf::segment(q, point(-HALF, 0.0), point(HALF, 0.0))
}

fn q_is_cap(q: Point) -> bool {
    q.x < JOINT
}

fn shell_radius(q: Point) -> f32 {
    RADIUS - if q_is_cap(q) { 0.0 } else { LIP }
}

fn outline(q: Point) -> f32 {
    axis_distance(q) - shell_radius(q)
}

/// "H5" in round strokes, bent with the shell.
fn print(q: Point) -> f32 {
    const SIZE: f32 = 0.042;
    let bent = point(q.x - 0.20, RADIUS * (q.y / RADIUS).clamp(-1.0, 1.0).asin()) * (1.0 / SIZE);
    let line = |ax: f32, ay: f32, bx: f32, by: f32| sdf::segment(bent, point(ax, ay), point(bx, by));
    let h = line(-1.7, -1.0, -1.7, 1.0).min(line(-0.6, -1.0, -0.6, 1.0)).min(line(-1.7, 0.0, -0.6, 0.0));
    let flag = line(0.6, -1.0, 1.6, -1.0).min(line(0.6, -1.0, 0.6, -0.1));
    let belly = (sdf::ring(bent - point(0.95, 0.42), 0.55, 0.55).abs()).max(if bent.x < 0.6 && bent.y < 0.8 { 1.0 } else { 0.0 });
    sdf::coverage(h.min(flag).min(belly) - 0.2, 0.16)
}

/// A defect of the capsule, in its own coordinates.
enum Damage {
    Hole { opening: Blob, noise: Noise, powder: f32 },
    Ink { splash: Splash, noise: Noise, hue: f32, density: f32 },
}

/// Somewhere on the shell, not too near its rim.
fn spot(sampler: &mut Sampler, rim: f32) -> Point {
    point(sampler.range(-HALF - 0.02, HALF + 0.02), sampler.range(-1.0, 1.0) * (RADIUS - rim))
}

impl Damage {
    fn hole(sampler: &mut Sampler) -> Self {
        let center = spot(sampler, 0.08);
        let half = sampler.range(0.05, 0.09);
        let half = point(half, half * sampler.range(0.6, 1.0));
        let opening = Blob::new(sampler, center, half, 0.3);
        Self::Hole { opening, noise: Noise::new(sampler.word()), powder: sampler.range(-0.5, 0.1) }
    }

    fn ink(sampler: &mut Sampler) -> Self {
        let center = spot(sampler, 0.05);
        let size = sampler.range(0.055, 0.08);
        let droplets = sampler.below(3);
        let splash = Splash::new(sampler, center, size, 0.4, droplets);
        // From blue over red to green: any colour but the cap's.
        Self::Ink { splash, noise: Noise::new(sampler.word()), hue: sampler.range(0.60, 1.35), density: sampler.range(0.7, 0.95) }
    }

    fn change(&self, surface: Surface, q: Point) -> Surface {
        match self {
            Self::Hole { opening, noise, powder } => {
                let edge = opening.distance(q);
                let gap = sdf::coverage(edge, 0.008);
                // The shell's thickness, broken and pale.
                let broken = sdf::coverage(edge - 0.006, 0.008) - gap;
                // Dark, with more or less of the powder in sight.
                let lump = smooth_step(-0.3, 0.6, powder + noise.fbm(q * 30.0, 2));
                let inside = Color::srgb(0.10, 0.07, 0.06).mix(Color::srgb(0.58, 0.50, 0.40), lump);
                let mut changed = surface;
                changed.height -= 0.03 * gap;
                changed.material.color = surface.material.color.mix(Color::srgb(0.97, 0.95, 0.90), 0.6 * broken).mix(inside, 0.95 * gap);
                changed.material.specular *= 1.0 - gap.max(0.7 * broken);
                changed.defect = (gap + broken).min(1.0);
                changed
            }
            Self::Ink { splash, noise, hue, density } => {
                let edge = splash.distance(q);
                let cover = sdf::coverage(edge, 0.008);
                // Ink dries darker at its rim.
                let rim = smooth_step(-0.02, 0.0, edge);
                let ink = Color::hsv(*hue, 0.80, mix(0.42, 0.26, rim));
                // It dries in clouds, through which the shell is seen more or less.
                let share = (density + 0.4 * noise.fbm(q * 22.0, 3)).clamp(0.4, 1.0);
                let material = Material { color: surface.material.color.mix(ink, share.max(rim)), specular: 0.55, ..surface.material };
                surface.mix(Surface { material, height: surface.height + 0.0015, defect: 1.0, ..surface }, cover)
            }
        }
    }
}
