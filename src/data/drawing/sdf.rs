//! Signed distances: negative inside, zero on the outline, positive outside (Quilez, "2D distance functions").
//!
//! Shapes sit at the origin; move the point, not the shape: `sdf::circle(p - center, 0.2)`.

use super::{Point, mix, point, smooth_step};

/// A disc.
pub fn circle(p: Point, radius: f32) -> f32 {
    p.length() - radius
}

/// A ring between two radii.
pub fn ring(p: Point, inner: f32, outer: f32) -> f32 {
    (p.length() - 0.5 * (inner + outer)).abs() - 0.5 * (outer - inner)
}

/// An axis-parallel rectangle given by its half sizes, with corners rounded by `corner`.
pub fn rectangle(p: Point, half: Point, corner: f32) -> f32 {
    let q = point(p.x.abs() - half.x + corner, p.y.abs() - half.y + corner);
    point(q.x.max(0.0), q.y.max(0.0)).length() + q.x.max(q.y).min(0.0) - corner
}

/// An ellipse by its half axes; the distance is first-order accurate (exact on the outline).
pub fn ellipse(p: Point, half: Point) -> f32 {
    let level = point(p.x / half.x, p.y / half.y).length();
    let slope = point(p.x / (half.x * half.x), p.y / (half.y * half.y)).length();
    if slope == 0.0 { -half.x.min(half.y) } else { level * (level - 1.0) / slope }
}

/// Distance to the segment from `a` to `b` (unsigned); subtract a radius for a capsule.
pub fn segment(p: Point, a: Point, b: Point) -> f32 {
    segment_position(p, a, b).0
}

/// Distance to the segment from `a` to `b`, and where along it (0 at `a`, 1 at `b`) the nearest point lies.
pub fn segment_position(p: Point, a: Point, b: Point) -> (f32, f32) {
    let (to_p, along) = (p - a, b - a);
    let length = along.dot(along);
    let share = if length > 0.0 { (to_p.dot(along) / length).clamp(0.0, 1.0) } else { 0.0 };
    ((to_p - along * share).length(), share)
}

/// A regular polygon with `sides` sides of apothem `radius` (centre to the middle of a side).
pub fn regular_polygon(p: Point, sides: u32, radius: f32) -> f32 {
    let sector = std::f32::consts::TAU / sides.max(3) as f32;
    let angle = (p.angle() + 0.5 * sector).rem_euclid(sector) - 0.5 * sector;
    let q = Point::at_angle(angle) * p.length();
    let half = radius * (0.5 * sector).tan();
    if q.y.abs() <= half { q.x - radius } else { point(q.x - radius, q.y.abs() - half).length().copysign(q.x - radius) }
}

/// Any simple polygon.
pub fn polygon(p: Point, corners: &[Point]) -> f32 {
    let mut distance = f32::MAX;
    let mut inside = false;
    for (index, &a) in corners.iter().enumerate() {
        let b = corners[(index + 1) % corners.len()];
        distance = distance.min(segment(p, a, b));
        if (a.y > p.y) != (b.y > p.y) && p.x < a.x + (b.x - a.x) * (p.y - a.y) / (b.y - a.y) {
            inside = !inside;
        }
    }
    if inside { -distance } else { distance }
}

/// In either shape.
pub fn union(a: f32, b: f32) -> f32 {
    a.min(b)
}

/// In both shapes.
pub fn intersection(a: f32, b: f32) -> f32 {
    a.max(b)
}

/// In `a` but not in `b`.
pub fn difference(a: f32, b: f32) -> f32 {
    a.max(-b)
}

/// In either shape, with a fillet of size `radius` between them.
pub fn smooth_union(a: f32, b: f32, radius: f32) -> f32 {
    let share = (0.5 + 0.5 * (b - a) / radius).clamp(0.0, 1.0);
    mix(b, a, share) - radius * share * (1.0 - share)
}

/// How much of a sample the shape covers: 1 inside, 0 outside, smooth over `softness` across the outline.
///
/// A softness of [`super::Canvas::sample_size`] antialiases; more gives soft edges.
pub fn coverage(distance: f32, softness: f32) -> f32 {
    smooth_step(0.5 * softness, -0.5 * softness, distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_exact_distances() {
        assert_eq!(circle(point(3.0, 4.0), 1.0), 4.0);
        assert_eq!(rectangle(point(0.0, 0.0), point(2.0, 1.0), 0.0), -1.0);
        assert_eq!(rectangle(point(5.0, 5.0), point(2.0, 1.0), 0.0), 5.0);
        assert!(ring(point(0.0, 0.0), 1.0, 2.0) > 0.0 && ring(point(1.5, 0.0), 1.0, 2.0) < 0.0);
        assert!(ellipse(point(1.9, 0.0), point(2.0, 1.0)) < 0.0 && ellipse(point(0.0, 1.1), point(2.0, 1.0)) > 0.0);
        assert!((regular_polygon(point(2.0, 0.0), 6, 1.0) - 1.0).abs() < 1e-6);
        let square = [point(-1.0, -1.0), point(1.0, -1.0), point(1.0, 1.0), point(-1.0, 1.0)];
        for probe in [point(0.2, 0.1), point(3.0, 0.5), point(-2.0, -3.0)] {
            assert!((polygon(probe, &square) - rectangle(probe, point(1.0, 1.0), 0.0)).abs() < 1e-6, "{probe:?}");
        }
    }

    #[test]
    fn coverage_falls_across_the_outline() {
        assert_eq!((coverage(-1.0, 0.1), coverage(0.0, 0.1), coverage(1.0, 0.1)), (1.0, 0.5, 0.0));
    }
}
