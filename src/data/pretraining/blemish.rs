//! Marks and damage in all colours.

use super::brush::{Brush, irregular};
use super::palette::{self, PAINTS};
use super::relief::Relief;
use crate::data::drawing::{Color, Point, point};
use crate::tensor::random::Sampler;

/// A kind of mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blemish {
    Scratch,
    Spot,
    Stain,
    Crack,
    Hole,
    Dent,
    Bump,
    Smear,
    Ink,
    Chip,
    Thread,
    Glue,
    Rust,
    Scuff,
    Burn,
}

/// Where marks may go.
pub(super) struct Region<'a> {
    /// Signed distance to the region's outline.
    pub(super) distance: &'a dyn Fn(Point) -> f32,
    /// A point near its middle and how far it reaches.
    pub(super) center: Point,
    pub(super) radius: f32,
    /// One share per sample of the relief.
    pub(super) shares: &'a [f32],
}

impl Region<'_> {
    /// A point inside, at least `margin` from the outline where the region is wide enough.
    pub(super) fn inside(&self, sampler: &mut Sampler, margin: f32) -> Point {
        let mut best = (f32::MAX, self.center);
        for _ in 0..24 {
            let p = self.center + point(sampler.range(-1.0, 1.0), sampler.range(-1.0, 1.0)) * self.radius;
            let distance = (self.distance)(p);
            if distance < -margin {
                return p;
            }
            if distance < best.0 {
                best = (distance, p);
            }
        }
        best.1
    }

    /// A point close to the outline.
    pub(super) fn on_edge(&self, sampler: &mut Sampler) -> Point {
        let candidates = (0..24).map(|_| self.center + point(sampler.range(-1.0, 1.0), sampler.range(-1.0, 1.0)) * self.radius);
        candidates.min_by(|a, b| (self.distance)(*a).abs().total_cmp(&(self.distance)(*b).abs())).unwrap_or(self.center)
    }
}

impl Blemish {
    /// All kinds.
    pub(super) const ALL: [Self; 15] = [
        Self::Scratch,
        Self::Spot,
        Self::Stain,
        Self::Crack,
        Self::Hole,
        Self::Dent,
        Self::Bump,
        Self::Smear,
        Self::Ink,
        Self::Chip,
        Self::Thread,
        Self::Glue,
        Self::Rust,
        Self::Scuff,
        Self::Burn,
    ];

    /// Those that cover an area with a material of its own.
    pub(super) const PATCHES: [Self; 6] = [Self::Spot, Self::Stain, Self::Ink, Self::Smear, Self::Glue, Self::Rust];

    /// The words for it.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Scratch => &["scratch", "cut", "line"],
            Self::Spot => &["spot", "dot", "paint drop"],
            Self::Stain => &["stain", "contamination", "color stain"],
            Self::Crack => &["crack", "fracture"],
            Self::Hole => &["hole", "puncture"],
            Self::Dent => &["dent", "dimple"],
            Self::Bump => &["bump", "blister"],
            Self::Smear => &["smear", "smudge"],
            Self::Ink => &["ink dots", "speckles", "splashes"],
            Self::Chip => &["chip", "broken edge"],
            Self::Thread => &["thread", "hair", "fibre", "bent wire"],
            Self::Glue => &["glue", "drop of glue", "liquid drop"],
            Self::Rust => &["rust", "corrosion"],
            Self::Scuff => &["scuff", "abrasion", "rough patch"],
            Self::Burn => &["burn", "scorch mark"],
        }
    }

    /// Draws one into the region; returns the words for its colour, none where the colour says nothing.
    pub(super) fn draw(self, relief: &mut Relief, region: &Region, size: f32, ground: Color, sampler: &mut Sampler) -> Option<&'static str> {
        let pixel = relief.pixel();
        let (name, color) = palette::contrasting(sampler, ground);
        let mut brush = Brush::new(relief, region);
        match self {
            Self::Scratch => {
                let (word, color) = *sampler.pick(&[("dark", Color::gray(0.02)), ("bright", Color::gray(0.85)), (name, color), (name, color)]);
                brush.scratch(size, color, sampler);
                return Some(word);
            }
            Self::Spot => {
                let middle = region.inside(sampler, 0.4 * size);
                let blob = irregular(sampler, middle, 0.4 * size, 0.8, 0.1);
                let softness = pixel * sampler.range(1.0, 4.0);
                brush.blob(&blob, size, softness, |share, sample| sample.tint(color, 0.95 * share));
            }
            Self::Stain => brush.stain(size, color, sampler.range(0.4, 0.95), sampler),
            Self::Crack => brush.crack(size, sampler),
            Self::Hole => brush.hole(size, sampler),
            Self::Dent | Self::Bump => {
                let sign = if self == Self::Dent { -1.0 } else { 1.0 };
                brush.dent(size, sign * sampler.range(0.25, 0.6), sampler);
                return None;
            }
            Self::Smear => brush.smear(size, color, sampler),
            Self::Ink => brush.dots(size, color, sampler),
            Self::Chip => {
                brush.chip(size, ground, sampler);
                return None;
            }
            Self::Thread => brush.thread(size, color, sampler),
            Self::Glue => {
                brush.glue(size, sampler);
                return None;
            }
            Self::Rust => {
                brush.rust(size, sampler);
                return None;
            }
            Self::Scuff => {
                brush.scuff(size, sampler);
                return None;
            }
            Self::Burn => {
                brush.stain(size, Color::srgb(0.13, 0.08, 0.05), 0.85, sampler);
                return None;
            }
        }
        Some(match self {
            Self::Crack | Self::Hole => "dark",
            _ => name,
        })
    }
}

/// Names of the colours that marks can have.
pub(super) fn color_words() -> impl Iterator<Item = &'static str> {
    PAINTS.iter().map(|&(name, _)| name).chain(["dark", "bright"])
}
