//! Industrial parts seen from above: an outline, a profile and the surface that they are made of.

use std::f32::consts::{PI, TAU};

use super::palette::{self, PAINTS};
use super::relief::Relief;
use super::surface::Surface;
use crate::data::drawing::{Color, Placement, Point, point, sdf, smooth_step};
use crate::tensor::random::Sampler;

/// A kind of part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ring,
    Plate,
    Disc,
    Capsule,
    Nut,
    Bar,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 6] = [Self::Ring, Self::Plate, Self::Disc, Self::Capsule, Self::Nut, Self::Bar];

    /// The words for it.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Ring => &["ring", "washer"],
            Self::Plate => &["plate", "panel"],
            Self::Disc => &["disc", "coin"],
            Self::Capsule => &["capsule", "pill"],
            Self::Nut => &["nut", "hexagon nut"],
            Self::Bar => &["bar", "rod"],
        }
    }
}

/// How a part lies in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pose {
    /// Anyhow near the middle, of any size.
    Free,
    /// As before a fixed camera: in the middle, mostly upright, of nearly one size. What a kind looks like can be told from its name alone.
    Aligned,
    /// Still closer to one place, one size and upright.
    Fixed,
}

impl Pose {
    fn draw(self, sampler: &mut Sampler) -> Placement {
        let (shift, upright, scales) = match self {
            Self::Free => (0.06, 0.5, [0.28, 0.45]),
            Self::Aligned => (0.015, 0.9, [0.36, 0.42]),
            Self::Fixed => (0.006, 0.95, [0.385, 0.405]),
        };
        let center = point(sampler.range(-shift, shift), sampler.range(-shift, shift));
        let angle = if sampler.chance(upright) { sampler.range(-0.08, 0.08) } else { sampler.range(0.0, TAU) };
        Placement { center, angle, scale: sampler.range(scales[0], scales[1]) }
    }
}

/// Numbers that make one part differ from another of its kind.
#[derive(Clone, Copy, Debug)]
struct Build {
    kind: Kind,
    place: Placement,
    /// Three free shares in [0, 1).
    traits: [f32; 3],
}

/// A part in place: its own height field over the whole picture and its outline.
pub(super) struct Part {
    pub(super) relief: Relief,
    pub(super) words: String,
    pub(super) color: Color,
    build: Build,
}

impl Part {
    /// Draws a part of a random material.
    pub(super) fn draw(kind: Kind, pose: Pose, pixels: usize, sampler: &mut Sampler) -> Self {
        let surface = *sampler.pick(&Surface::OF_PARTS);
        let (mut relief, material, color) = surface.draw(pixels, true, sampler);
        let place = pose.draw(sampler);
        let traits = [sampler.uniform(), sampler.uniform(), sampler.uniform()];
        let build = Build { kind, place, traits };
        let second = palette::contrasting(sampler, color).1;
        let bevel = sampler.range(0.04, 0.22);
        let thickness = sampler.range(0.05, 0.16) * place.scale;
        relief.paint(|p, sample| {
            let q = build.place.to_object(p);
            let (rise, shade, other) = build.detail(q);
            // A rounded shoulder: steep at the outline, level inside.
            let depth = (-build.outline(q) / bevel).clamp(0.0, 1.0);
            sample.height += thickness * ((1.0 - (1.0 - depth).powi(2)).sqrt() + rise);
            sample.color = sample.color.mix(second, other) * shade;
        });
        let name = *sampler.pick(kind.names());
        Self { relief, words: format!("{material} {name}"), color, build }
    }

    /// Signed distance to the outline, in canvas units.
    pub(super) fn distance(&self, p: Point) -> f32 {
        self.build.outline(self.build.place.to_object(p)) * self.build.place.scale
    }

    /// Half the size of the part, in canvas units.
    pub(super) fn radius(&self) -> f32 {
        self.build.place.scale
    }

    /// Its middle.
    pub(super) fn center(&self) -> Point {
        self.build.place.center
    }
}

impl Build {
    /// Signed distance in the part's own units: it fits into the unit disc.
    fn outline(&self, p: Point) -> f32 {
        let [a, b, c] = self.traits;
        match self.kind {
            Kind::Ring => sdf::ring(p, 0.35 + 0.4 * a, 1.0),
            Kind::Plate => {
                let half = point(0.95, 0.55 + 0.4 * a);
                let plate = sdf::rectangle(p, half, 0.02 + 0.3 * b);
                let hole = point(p.x.abs() - half.x + 0.22, p.y.abs() - half.y + 0.22);
                if c < 0.5 { sdf::difference(plate, sdf::circle(hole, 0.10)) } else { plate }
            }
            Kind::Disc => sdf::circle(p, 1.0),
            Kind::Capsule => {
                let radius = 0.28 + 0.16 * a;
                sdf::segment(p, point(-1.0 + radius, 0.0), point(1.0 - radius, 0.0)) - radius
            }
            Kind::Nut => sdf::difference(sdf::regular_polygon(p, 6, 0.85), sdf::circle(p, 0.35 + 0.2 * a)),
            Kind::Bar => sdf::rectangle(p, point(1.15, 0.16 + 0.25 * a), 0.05 + 0.1 * b),
        }
    }

    /// The profile at a point: extra height (of the thickness), a factor on the colour, and the share of the second colour.
    fn detail(&self, p: Point) -> (f32, f32, f32) {
        let [a, b, c] = self.traits;
        let radius = p.length();
        let band = |center: f32, width: f32| smooth_step(width, 0.5 * width, (radius - center).abs());
        match self.kind {
            Kind::Ring if c < 0.3 => (0.0, 1.0, band(0.68 + 0.2 * a, 0.10)),
            Kind::Disc => (
                0.5 * band(0.82, 0.08) - 0.4 * smooth_step(0.3 + 0.3 * a, 0.25 + 0.3 * a, radius) * b,
                1.0,
                if c < 0.3 { band(0.5, 0.12) } else { 0.0 },
            ),
            Kind::Capsule => {
                let seam = 0.5 - 0.6 * (b - 0.5).abs();
                let half = smooth_step(-0.02, 0.02, p.x - seam + 0.4);
                (0.35 * half, 1.0 - 0.2 * smooth_step(0.05, 0.0, (p.x - seam + 0.4).abs()), if c < 0.7 { half } else { 0.0 })
            }
            Kind::Nut => (0.3 * smooth_step(0.80, 0.70, radius), 1.0, 0.0),
            Kind::Bar if c < 0.5 => (0.0, 1.0 - 0.35 * smooth_step(0.1, 0.4, (p.x * PI * (2.0 + 4.0 * b)).sin()), 0.0),
            _ => (0.0, 1.0, 0.0),
        }
    }
}

/// A ground for parts: mostly plain and darker or lighter than the part, sometimes a material.
pub(super) fn ground(pixels: usize, part_color: Color, sampler: &mut Sampler) -> (Relief, String) {
    if sampler.chance(0.35) {
        let (relief, words, _) = sampler.pick(&Surface::ALL).draw(pixels, false, sampler);
        return (relief, words);
    }
    let (name, mut color) = palette::contrasting(sampler, part_color);
    let mut name = name;
    if sampler.chance(0.5) {
        (name, color) = palette::pick(sampler, &[PAINTS[0], PAINTS[1], PAINTS[2]]);
    }
    (Relief::new(pixels, color), format!("{name} background"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_parts_of_a_kind_cover_nearly_the_same_place() {
        // How much of their areas together two discs have in common, on average over neighbours.
        let overlap = |pose| {
            let parts: Vec<Part> = (0..20).map(|index| Part::draw(Kind::Disc, pose, 8, &mut Sampler::new(5, "test", &[index]))).collect();
            let grid: Vec<Point> = (0..40 * 40).map(|cell| point((cell % 40) as f32 / 40.0 - 0.5, (cell / 40) as f32 / 40.0 - 0.5)).collect();
            let shares = parts.windows(2).map(|pair| {
                let counts = grid.iter().fold([0, 0], |[both, any], &p| {
                    let inside = [pair[0].distance(p) < 0.0, pair[1].distance(p) < 0.0];
                    [both + usize::from(inside[0] && inside[1]), any + usize::from(inside[0] || inside[1])]
                });
                counts[0] as f32 / counts[1] as f32
            });
            shares.sum::<f32>() / (parts.len() - 1) as f32
        };
        let [fixed, aligned, free] = [Pose::Fixed, Pose::Aligned, Pose::Free].map(overlap);
        assert!(fixed > 0.94 && aligned > 0.85 && aligned < 0.92 && free < 0.75, "{fixed}, {aligned} and {free}");
    }
}
