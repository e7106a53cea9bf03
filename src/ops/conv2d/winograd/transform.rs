//! The one-dimensional transforms of F(4, 3), on neighbouring channels together.
//!
//! Points 0, ±3/4, ±3/2 and infinity: their matrices are exact in binary, and the error is half that of the customary 0, ±1, ±2 (Barabasz et al.,
//! "Error analysis and improving the accuracy of Winograd convolution for deep neural networks", 2020, section 5, on choosing points).

use super::POINTS;
use crate::device::cpu::lanes::{LANES, Lanes};

/// The points ±A and ±B.
const A: f32 = 0.75;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;

/// Bᵀ d: six inputs to six points. Row p holds the coefficients of the product of (x - q) over all other finite points q.
#[inline(always)]
pub(super) fn input(d: [Lanes; 6]) -> [Lanes; 6] {
    let even_a = d[2].times_plus(-B2, d[4]);
    let odd_a = d[1].times_plus(-B2, d[3]) * A;
    let even_b = d[2].times_plus(-A2, d[4]);
    let odd_b = d[1].times_plus(-A2, d[3]) * B;
    let zero = d[0].times_plus(A2 * B2, d[2].times_plus(-(A2 + B2), d[4]));
    let infinity = d[1].times_plus(A2 * B2, d[3].times_plus(-(A2 + B2), d[5]));
    [zero, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, infinity]
}

/// G g: three weights to six points. Row p is (1, p, p²) over the product of (p - q) over all other finite points q.
#[inline(always)]
pub(super) fn weight(g: [Lanes; 3]) -> [Lanes; 6] {
    let at = |point: f32, scale: f32| {
        let even = g[2].times_plus(point * point * scale, g[0] * scale);
        let odd = g[1] * (point * scale);
        [even + odd, even - odd]
    };
    let [plus_a, minus_a] = at(A, 1.0 / (2.0 * A2 * (A2 - B2)));
    let [plus_b, minus_b] = at(B, 1.0 / (2.0 * B2 * (B2 - A2)));
    [g[0] * (1.0 / (A2 * B2)), plus_a, minus_a, plus_b, minus_b, g[2]]
}

/// Aᵀ m: six points to four outputs. Column p is (1, p, p², p³).
#[inline(always)]
pub(super) fn output(m: [Lanes; 6]) -> [Lanes; 4] {
    let (even_a, odd_a) = (m[1] + m[2], m[1] - m[2]);
    let (even_b, odd_b) = (m[3] + m[4], m[3] - m[4]);
    [
        m[0] + even_a + even_b,
        odd_a.times_plus(A, odd_b * B),
        even_a.times_plus(A2, even_b * B2),
        odd_a.times_plus(A2 * A, odd_b.times_plus(B2 * B, m[5])),
    ]
}

/// A y, the adjoint of [`output`]: four outputs' gradients to six points.
#[inline(always)]
pub(super) fn output_adjoint(y: [Lanes; 4]) -> [Lanes; 6] {
    let at = |point: f32| {
        let even = y[2].times_plus(point * point, y[0]);
        let odd = y[3].times_plus(point * point, y[1]) * point;
        [even + odd, even - odd]
    };
    let ([plus_a, minus_a], [plus_b, minus_b]) = (at(A), at(B));
    [y[0], plus_a, minus_a, plus_b, minus_b, y[3]]
}

/// Gᵀ m, the adjoint of [`weight`]: six points to three weights' gradients.
#[inline(always)]
pub(super) fn weight_adjoint(m: [Lanes; 6]) -> [Lanes; 3] {
    const SCALE_A: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
    const SCALE_B: f32 = 1.0 / (2.0 * B2 * (B2 - A2));
    let (even_a, odd_a) = ((m[1] + m[2]) * SCALE_A, (m[1] - m[2]) * SCALE_A);
    let (even_b, odd_b) = ((m[3] + m[4]) * SCALE_B, (m[3] - m[4]) * SCALE_B);
    [m[0].times_plus(1.0 / (A2 * B2), even_a + even_b), odd_a.times_plus(A, odd_b * B), even_a.times_plus(A2, even_b.times_plus(B2, m[5]))]
}

/// Applies a one-dimensional transform along both axes of `square[row][column]`, columns first.
#[inline(always)]
pub(super) fn both_axes<const FROM: usize, const TO: usize>(
    square: [[Lanes; FROM]; FROM],
    transform: impl Fn([Lanes; FROM]) -> [Lanes; TO],
) -> [[Lanes; TO]; TO] {
    let zero = Lanes::splat(0.0);
    // Plain loops: `array::from_fn` and `map` pass arrays of registers through memory.
    let mut halfway = [[zero; FROM]; TO];
    for column in 0..FROM {
        let mut values = [zero; FROM];
        for (value, row) in values.iter_mut().zip(&square) {
            *value = row[column];
        }
        for (row, value) in halfway.iter_mut().zip(transform(values)) {
            row[column] = value;
        }
    }
    let mut result = [[zero; TO]; TO];
    for (row, values) in result.iter_mut().zip(halfway) {
        *row = transform(values);
    }
    result
}

/// Stores 6 x 6 points, one in each plane.
#[inline(always)]
pub(super) fn store_points(points: [[Lanes; POINTS]; POINTS], planes: &mut [f32], plane: usize, at: usize) {
    for (i, row) in points.into_iter().enumerate() {
        for (j, value) in row.into_iter().enumerate() {
            value.store(&mut planes[(i * POINTS + j) * plane + at..][..LANES]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(start: f32) -> [f32; LANES] {
        let mut numbers = [0.0; LANES];
        numbers.iter_mut().enumerate().for_each(|(lane, number)| *number = (start + 0.37 * lane as f32).sin());
        numbers
    }

    fn values(lanes: Lanes) -> [f32; LANES] {
        let mut values = [0.0; LANES];
        lanes.store(&mut values);
        values
    }

    #[test]
    fn four_outputs_of_three_weights() {
        let d = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(numbers);
        let g = [10.0, 11.0, 12.0].map(numbers);
        let points = input(d.map(|d| Lanes::load(&d))).map(values);
        let weights = weight(g.map(|g| Lanes::load(&g))).map(values);
        let mut sums = points;
        sums.iter_mut().flatten().zip(weights.iter().flatten()).for_each(|(sum, weight)| *sum *= weight);
        for (i, found) in output(sums.map(|sum| Lanes::load(&sum))).map(values).iter().enumerate() {
            for lane in 0..LANES {
                let expected: f32 = (0..3).map(|k| d[i + k][lane] * g[k][lane]).sum();
                assert!((found[lane] - expected).abs() < 2e-6, "output {i}");
            }
        }
    }
}
