//! Irregular shapes: strokes along a path (scratches, cracks, threads) and blobs (stains, dents, chips).

use super::{Noise, Point, mix, point, sdf};
use crate::tensor::random::Sampler;

/// A path with a width that varies along it.
#[derive(Clone, Debug)]
pub struct Stroke {
    points: Vec<Point>,
    /// Half width at each point.
    widths: Vec<f32>,
}

impl Stroke {
    /// Through `points`, each with its half width; at least one point.
    pub fn new(points: Vec<Point>, widths: Vec<f32>) -> Self {
        assert!(!points.is_empty() && points.len() == widths.len(), "a stroke needs a half width for each of its points, and at least one point");
        Self { points, widths }
    }

    /// A wandering line from `start`: `length` long, heading `angle`, turning smoothly by up to `wander` radians in all, thin at both ends.
    pub fn wandering(sampler: &mut Sampler, start: Point, angle: f32, length: f32, half_width: f32, wander: f32) -> Self {
        const STEPS: usize = 24;
        let noise = Noise::new(sampler.word());
        let curl = sampler.range(-0.5, 0.5) * wander;
        let (mut points, mut widths, mut p) = (Vec::new(), Vec::new(), start);
        for step in 0..=STEPS {
            let t = step as f32 / STEPS as f32;
            points.push(p);
            let taper = (4.0 * t * (1.0 - t)).powf(0.4).max(0.15);
            widths.push(half_width * taper * (1.0 + 0.35 * noise.gradient(point(t * 7.0, 0.5))));
            let heading = angle + curl * t + wander * 0.5 * noise.fbm(point(t * 3.0, 9.5), 2);
            p = p + Point::at_angle(heading) * (length / STEPS as f32);
        }
        Self { points, widths }
    }

    /// Signed distance to the stroke's outline.
    pub fn distance(&self, p: Point) -> f32 {
        self.nearest(p).0
    }

    /// Signed distance to the outline, and how far along the path (0 start, 1 end) the nearest point lies.
    pub fn nearest(&self, p: Point) -> (f32, f32) {
        if self.points.len() == 1 {
            return (sdf::circle(p - self.points[0], self.widths[0]), 0.0);
        }
        let segments = self.points.len() - 1;
        let mut best = (f32::MAX, 0.0);
        for index in 0..segments {
            let (distance, share) = sdf::segment_position(p, self.points[index], self.points[index + 1]);
            let outline = distance - mix(self.widths[index], self.widths[index + 1], share);
            if outline < best.0 {
                best = (outline, (index as f32 + share) / segments as f32);
            }
        }
        best
    }

    /// The path's points.
    pub fn points(&self) -> &[Point] {
        &self.points
    }
}

/// A closed irregular shape around a centre.
#[derive(Clone, Copy, Debug)]
pub struct Blob {
    /// The middle.
    pub center: Point,
    /// Mean half axes.
    pub half: Point,
    /// Turn of the axes in radians.
    pub angle: f32,
    /// 0 an ellipse, 0.3 a stain, 0.6 torn.
    pub roughness: f32,
    noise: Noise,
}

impl Blob {
    /// A blob whose outline is drawn from `sampler`.
    pub fn new(sampler: &mut Sampler, center: Point, half: Point, roughness: f32) -> Self {
        let angle = sampler.range(0.0, std::f32::consts::TAU);
        Self { center, half, angle, roughness, noise: Noise::new(sampler.word()) }
    }

    /// Approximate signed distance: exact sign, slope near 1.
    pub fn distance(&self, p: Point) -> f32 {
        let q = (p - self.center).rotated(-self.angle);
        let unit = point(q.x / self.half.x, q.y / self.half.y);
        let size = self.half.x.min(self.half.y);
        let bumps = self.noise.fbm(unit * 1.3, 3) + 0.25 * self.noise.fork(5).gradient(unit * 5.0);
        sdf::ellipse(q, self.half) + self.roughness * size * bumps
    }
}
