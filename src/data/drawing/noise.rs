//! Seeded noise on the plane: pure functions of seed and point.

use super::{Point, mix, point};

/// A family of noise functions that share a seed. Scale the point to choose the grain: `noise.gradient(p * 8.0)` has features of 1/8.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    seed: u32,
}

/// The nearest feature point of cellular noise.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Distance to the nearest feature point.
    pub nearest: f32,
    /// Distance to the second nearest; `second - nearest` is 0 on the cells' borders.
    pub second: f32,
    /// Uniform in [0, 1), constant within the cell.
    pub value: f32,
}

impl Noise {
    /// The noise functions of `seed`.
    pub const fn new(seed: u32) -> Self {
        Self { seed }
    }

    /// An independent family: for another property of the same scene.
    pub fn fork(self, index: u32) -> Self {
        Self { seed: mixed(self.seed ^ mixed(index.wrapping_add(0x9E37_79B9))) }
    }

    /// White noise: uniform in [0, 1) per integer cell.
    pub fn hash(self, x: i32, y: i32) -> f32 {
        (self.bits(x, y) >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Value noise: smooth interpolation of uniform lattice values, in [-1, 1].
    pub fn value(self, p: Point) -> f32 {
        let (x, y) = (p.x.floor(), p.y.floor());
        let (column, row) = (x as i32, y as i32);
        let (u, v) = (fade(p.x - x), fade(p.y - y));
        let corner = |dx: i32, dy: i32| self.hash(column.wrapping_add(dx), row.wrapping_add(dy));
        2.0 * mix(mix(corner(0, 0), corner(1, 0), u), mix(corner(0, 1), corner(1, 1), u), v) - 1.0
    }

    /// Gradient noise (Perlin, "Improving noise", SIGGRAPH 2002), about in [-1, 1], mean 0.
    pub fn gradient(self, p: Point) -> f32 {
        let (x, y) = (p.x.floor(), p.y.floor());
        let (column, row) = (x as i32, y as i32);
        let (fx, fy) = (p.x - x, p.y - y);
        let corner = |dx: i32, dy: i32| {
            let direction = GRADIENTS[(self.bits(column.wrapping_add(dx), row.wrapping_add(dy)) >> 28) as usize];
            direction.dot(point(fx - dx as f32, fy - dy as f32))
        };
        let (u, v) = (fade(fx), fade(fy));
        // The largest value of 2D gradient noise with unit gradients is 1/√2.
        std::f32::consts::SQRT_2 * mix(mix(corner(0, 0), corner(1, 0), u), mix(corner(0, 1), corner(1, 1), u), v)
    }

    /// Fractal sum of `octaves` of gradient noise, each of half the size and amplitude; about in [-1, 1].
    pub fn fbm(self, p: Point, octaves: u32) -> f32 {
        self.fractal(p, octaves, |noise, p| noise.gradient(p))
    }

    /// Fractal sum of folded noise, in [0, 1]: sharp bright ridges (veins, cracks, folds).
    pub fn ridged(self, p: Point, octaves: u32) -> f32 {
        self.fractal(p, octaves, |noise, p| 1.0 - noise.gradient(p).abs()).clamp(0.0, 1.0)
    }

    /// Cellular noise (Worley, SIGGRAPH 1996): one feature point per unit square, moved by up to `jitter` (0 grid, 1 free).
    pub fn cellular(self, p: Point, jitter: f32) -> Cell {
        let (column, row) = (p.x.floor() as i32, p.y.floor() as i32);
        let mut cell = Cell { nearest: f32::MAX, second: f32::MAX, value: 0.0 };
        for dy in -1..=1 {
            for dx in -1..=1 {
                let (cx, cy) = (column.wrapping_add(dx), row.wrapping_add(dy));
                let offset = point(self.hash(cx, cy) - 0.5, self.fork(1).hash(cx, cy) - 0.5) * jitter;
                let distance = (point(cx as f32 + 0.5, cy as f32 + 0.5) + offset - p).length();
                if distance < cell.nearest {
                    cell = Cell { nearest: distance, second: cell.nearest, value: self.fork(2).hash(cx, cy) };
                } else {
                    cell.second = cell.second.min(distance);
                }
            }
        }
        cell
    }

    /// `p` moved by smooth noise of feature size `size` and strength `amount`: makes regular patterns irregular.
    pub fn warp(self, p: Point, size: f32, amount: f32) -> Point {
        let q = p * (1.0 / size);
        p + point(self.fork(11).fbm(q, 2), self.fork(12).fbm(q, 2)) * amount
    }

    fn fractal(self, p: Point, octaves: u32, base: impl Fn(Self, Point) -> f32) -> f32 {
        let (mut sum, mut amplitude, mut total, mut q) = (0.0, 1.0, 0.0, p);
        for octave in 0..octaves {
            sum += amplitude * base(self.fork(octave), q);
            total += amplitude;
            amplitude *= 0.5;
            // Turned a little, so that lattice directions of the octaves do not add up.
            q = q.rotated(0.6) * 2.03;
        }
        if total > 0.0 { sum / total } else { 0.0 }
    }

    fn bits(self, x: i32, y: i32) -> u32 {
        mixed((x as u32).wrapping_mul(0x85EB_CA6B) ^ mixed((y as u32).wrapping_add(self.seed)))
    }
}

/// Sixteen unit vectors.
const GRADIENTS: [Point; 16] = {
    const A: f32 = 0.923_879_5;
    const B: f32 = 0.382_683_43;
    const C: f32 = std::f32::consts::FRAC_1_SQRT_2;
    [
        point(1.0, 0.0),
        point(A, B),
        point(C, C),
        point(B, A),
        point(0.0, 1.0),
        point(-B, A),
        point(-C, C),
        point(-A, B),
        point(-1.0, 0.0),
        point(-A, -B),
        point(-C, -C),
        point(-B, -A),
        point(0.0, -1.0),
        point(B, -A),
        point(C, -C),
        point(A, -B),
    ]
};

/// An integer hash of full avalanche (lowbias32, Wellons 2018).
fn mixed(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

/// 6t⁵ - 15t⁴ + 10t³: continuous second derivative.
fn fade(t: f32) -> f32 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(f: impl Fn(Point) -> f32) -> Vec<f32> {
        (0..20_000).map(|i| f(point((i % 200) as f32 * 0.137 - 9.0, (i / 200) as f32 * 0.171 - 7.0))).collect()
    }

    #[test]
    fn ranges_and_means() {
        let noise = Noise::new(3);
        for (name, values) in
            [("value", samples(|p| noise.value(p))), ("gradient", samples(|p| noise.gradient(p))), ("fbm", samples(|p| noise.fbm(p, 4)))]
        {
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            assert!(mean.abs() < 0.1, "{name}: mean {mean}");
            assert!(values.iter().all(|x| x.abs() <= 1.0), "{name}: outside [-1, 1]");
            assert!(values.iter().any(|x| x.abs() > 0.4), "{name}: too flat");
        }
        assert!(samples(|p| noise.ridged(p, 3)).iter().all(|x| (0.0..=1.0).contains(x)));
    }

    #[test]
    fn noise_is_continuous_and_named_by_its_seed() {
        let noise = Noise::new(9);
        for p in [point(2.0, 3.0), point(-1.0, 0.0), point(0.3, -4.0)] {
            let step = (noise.fbm(p, 3) - noise.fbm(p + point(1e-4, -1e-4), 3)).abs();
            assert!(step < 1e-2, "jump of {step} at {p:?}");
        }
        let probe = point(0.37, 1.9);
        assert_eq!(noise.gradient(probe), Noise::new(9).gradient(probe));
        assert_ne!(noise.gradient(probe), Noise::new(10).gradient(probe));
        assert_ne!(noise.gradient(probe), noise.fork(0).gradient(probe));
    }

    #[test]
    fn cellular_distances_are_ordered() {
        let noise = Noise::new(1);
        for i in 0..500 {
            let cell = noise.cellular(point(i as f32 * 0.11, i as f32 * -0.07), 0.9);
            assert!(cell.nearest <= cell.second && (0.0..1.0).contains(&cell.value));
        }
    }
}
