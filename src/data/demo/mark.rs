//! Shapes of defects: groups of strokes or blobs.

use crate::data::drawing::{Blob, Point, Stroke, point};
use crate::tensor::random::Sampler;

/// A large blob with droplets around it: rust, ink.
#[derive(Clone, Debug)]
pub(super) struct Splash {
    blobs: Vec<Blob>,
}

impl Splash {
    /// Around `center`; `size` is the mean half axis of the large blob.
    pub(super) fn new(sampler: &mut Sampler, center: Point, size: f32, roughness: f32, droplets: usize) -> Self {
        let stretch = sampler.range(0.75, 1.35);
        let mut blobs = vec![Blob::new(sampler, center, point(size * stretch, size / stretch), roughness)];
        for _ in 0..droplets {
            let away = Point::at_angle(sampler.range(0.0, std::f32::consts::TAU)) * (size * sampler.range(1.1, 1.7));
            let radius = size * sampler.range(0.1, 0.3);
            blobs.push(Blob::new(sampler, center + away, point(radius, radius), 0.3));
        }
        Self { blobs }
    }

    /// Signed distance to the nearest outline.
    pub(super) fn distance(&self, p: Point) -> f32 {
        self.blobs.iter().map(|blob| blob.distance(p)).fold(f32::MAX, f32::min)
    }
}

/// A jagged line with branches.
#[derive(Clone, Debug)]
pub(super) struct Fracture {
    lines: Vec<Stroke>,
}

impl Fracture {
    /// From `start` towards `angle`, `length` long; thinner at the ends.
    pub(super) fn new(sampler: &mut Sampler, start: Point, angle: f32, length: f32, half_width: f32, branches: usize) -> Self {
        let trunk = jagged(sampler, start, angle, length, half_width);
        let mut lines = Vec::new();
        for _ in 0..branches {
            let root = trunk.points()[2 + sampler.below(trunk.points().len() - 3)];
            let side = if sampler.chance(0.5) { 1.0 } else { -1.0 };
            let turn = side * sampler.range(0.5, 1.1);
            let reach = length * sampler.range(0.2, 0.4);
            lines.push(jagged(sampler, root, angle + turn, reach, 0.7 * half_width));
        }
        lines.push(trunk);
        Self { lines }
    }

    /// Signed distance to the nearest outline.
    pub(super) fn distance(&self, p: Point) -> f32 {
        self.lines.iter().map(|line| line.distance(p)).fold(f32::MAX, f32::min)
    }
}

fn jagged(sampler: &mut Sampler, start: Point, angle: f32, length: f32, half_width: f32) -> Stroke {
    const STEPS: usize = 8;
    let (mut points, mut widths, mut p) = (vec![start], vec![0.5 * half_width], start);
    for step in 1..=STEPS {
        let heading = angle + sampler.range(-0.7, 0.7);
        p = p + Point::at_angle(heading) * (length / STEPS as f32 * sampler.range(0.6, 1.4));
        points.push(p);
        widths.push(half_width * (1.0 - 0.75 * step as f32 / STEPS as f32) * sampler.range(0.8, 1.2));
    }
    Stroke::new(points, widths)
}
