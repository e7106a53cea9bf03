//! The one-dimensional transforms of F(4, 3), on neighbouring channels together.
//!
//! Points 0, ±3/4, ±3/2 and infinity: their matrices are exact in binary, and the error is half that of the customary 0, ±1, ±2 (Barabasz et al.,
//! "Error analysis and improving the accuracy of Winograd convolution for deep neural networks", 2020, section 5, on choosing points).

use super::POINTS;
use crate::device::cpu::lanes::Lanes;

/// The points ±A and ±B.
const A: f32 = 0.75;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;

/// A one-dimensional transform of a few numbers, given and taken by position so that they need not pass through memory.
pub(super) trait Transform {
    /// How many numbers come out.
    const RESULTS: usize;
    /// How many numbers go in.
    const TERMS: usize;

    /// Reads every term once, then writes every result.
    fn apply(term: impl Fn(usize) -> Lanes, result: impl FnMut(usize, Lanes));
}

/// Bᵀ d: six inputs to six points. Row p holds the coefficients of the product of (x - q) over all other finite points q.
pub(super) struct Input;

impl Transform for Input {
    const RESULTS: usize = 6;
    const TERMS: usize = 6;

    #[inline(always)]
    fn apply(term: impl Fn(usize) -> Lanes, mut result: impl FnMut(usize, Lanes)) {
        let d = [term(0), term(1), term(2), term(3), term(4), term(5)];
        let even_a = d[2].times_plus(-B2, d[4]);
        let odd_a = d[1].times_plus(-B2, d[3]) * A;
        let even_b = d[2].times_plus(-A2, d[4]);
        let odd_b = d[1].times_plus(-A2, d[3]) * B;
        result(0, d[0].times_plus(A2 * B2, d[2].times_plus(-(A2 + B2), d[4])));
        result(1, even_a + odd_a);
        result(2, even_a - odd_a);
        result(3, even_b + odd_b);
        result(4, even_b - odd_b);
        result(5, d[1].times_plus(A2 * B2, d[3].times_plus(-(A2 + B2), d[5])));
    }
}

/// What the points ±A and ±B of the weight are divided by: the products of (p - q) over all other finite points q.
const SCALE_A: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
const SCALE_B: f32 = 1.0 / (2.0 * B2 * (B2 - A2));
const SCALE_ZERO: f32 = 1.0 / (A2 * B2);

/// G g: three weights to six points. Row p is (1, p, p²), scaled.
pub(super) struct Weight;

impl Transform for Weight {
    const RESULTS: usize = 6;
    const TERMS: usize = 3;

    #[inline(always)]
    fn apply(term: impl Fn(usize) -> Lanes, mut result: impl FnMut(usize, Lanes)) {
        let g = [term(0), term(1), term(2)];
        result(0, g[0] * SCALE_ZERO);
        for (index, point, scale) in [(1, A, SCALE_A), (3, B, SCALE_B)] {
            let even = g[2].times_plus(point * point * scale, g[0] * scale);
            let odd = g[1] * (point * scale);
            result(index, even + odd);
            result(index + 1, even - odd);
        }
        result(5, g[2]);
    }
}

/// Aᵀ m: six points to four outputs. Column p is (1, p, p², p³).
pub(super) struct Output;

impl Transform for Output {
    const RESULTS: usize = 4;
    const TERMS: usize = 6;

    #[inline(always)]
    fn apply(term: impl Fn(usize) -> Lanes, mut result: impl FnMut(usize, Lanes)) {
        let m = [term(0), term(1), term(2), term(3), term(4), term(5)];
        let (even_a, odd_a) = (m[1] + m[2], m[1] - m[2]);
        let (even_b, odd_b) = (m[3] + m[4], m[3] - m[4]);
        result(0, m[0] + even_a + even_b);
        result(1, odd_a.times_plus(A, odd_b * B));
        result(2, even_a.times_plus(A2, even_b * B2));
        result(3, odd_a.times_plus(A2 * A, odd_b.times_plus(B2 * B, m[5])));
    }
}

/// A y, the adjoint of [`Output`]: the gradients of four outputs to six points.
pub(super) struct OutputAdjoint;

impl Transform for OutputAdjoint {
    const RESULTS: usize = 6;
    const TERMS: usize = 4;

    #[inline(always)]
    fn apply(term: impl Fn(usize) -> Lanes, mut result: impl FnMut(usize, Lanes)) {
        let y = [term(0), term(1), term(2), term(3)];
        result(0, y[0]);
        for (index, point) in [(1, A), (3, B)] {
            let even = y[2].times_plus(point * point, y[0]);
            let odd = y[3].times_plus(point * point, y[1]) * point;
            result(index, even + odd);
            result(index + 1, even - odd);
        }
        result(5, y[3]);
    }
}

/// Gᵀ m, the adjoint of [`Weight`]: six points to the gradients of three weights.
pub(super) struct WeightAdjoint;

impl Transform for WeightAdjoint {
    const RESULTS: usize = 3;
    const TERMS: usize = 6;

    #[inline(always)]
    fn apply(term: impl Fn(usize) -> Lanes, mut result: impl FnMut(usize, Lanes)) {
        let m = [term(0), term(1), term(2), term(3), term(4), term(5)];
        let (even_a, odd_a) = ((m[1] + m[2]) * SCALE_A, (m[1] - m[2]) * SCALE_A);
        let (even_b, odd_b) = ((m[3] + m[4]) * SCALE_B, (m[3] - m[4]) * SCALE_B);
        result(0, m[0].times_plus(SCALE_ZERO, even_a + even_b));
        result(1, odd_a.times_plus(A, odd_b * B));
        result(2, even_a.times_plus(A2, even_b.times_plus(B2, m[5])));
    }
}

/// Applies a transform along both axes of a square: `term(row, column)` to `result(row, column, value)`.
#[inline(always)]
pub(super) fn both_axes<T: Transform>(term: impl Fn(usize, usize) -> Lanes, mut result: impl FnMut(usize, usize, Lanes)) {
    let mut halfway = [[Lanes::splat(0.0); POINTS]; POINTS];
    for column in 0..T::TERMS {
        T::apply(|row| term(row, column), |row, value| halfway[row][column] = value);
    }
    for (row, values) in halfway.iter().enumerate().take(T::RESULTS) {
        T::apply(|column| values[column], |column, value| result(row, column, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::lanes::LANES;

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

    fn transformed<T: Transform>(terms: &[[f32; LANES]]) -> Vec<[f32; LANES]> {
        assert_eq!(terms.len(), T::TERMS);
        let mut results = vec![[f32::NAN; LANES]; T::RESULTS];
        T::apply(|i| Lanes::load(&terms[i]), |i, value| results[i] = values(value));
        results
    }

    fn dot(a: &[[f32; LANES]], b: &[[f32; LANES]]) -> f32 {
        a.as_flattened().iter().zip(b.as_flattened()).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn four_outputs_of_three_weights() {
        let d = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(numbers);
        let g = [10.0, 11.0, 12.0].map(numbers);
        let mut sums = transformed::<Input>(&d);
        sums.as_flattened_mut().iter_mut().zip(transformed::<Weight>(&g).as_flattened()).for_each(|(sum, weight)| *sum *= weight);
        for (i, found) in transformed::<Output>(&sums).iter().enumerate() {
            for lane in 0..LANES {
                let expected: f32 = (0..3).map(|k| d[i + k][lane] * g[k][lane]).sum();
                assert!((found[lane] - expected).abs() < 2e-6, "output {i}");
            }
        }
    }

    #[test]
    fn adjoints_move_to_the_other_side_of_a_product() {
        let (y, m, g) = ([0.0, 1.0, 2.0, 3.0].map(numbers), [4.0, 5.0, 6.0, 7.0, 8.0, 9.0].map(numbers), [10.0, 11.0, 12.0].map(numbers));
        let (left, right) = (dot(&transformed::<Output>(&m), &y), dot(&m, &transformed::<OutputAdjoint>(&y)));
        assert!((left - right).abs() < 1e-4, "{left} {right}");
        let (left, right) = (dot(&transformed::<Weight>(&g), &m), dot(&g, &transformed::<WeightAdjoint>(&m)));
        assert!((left - right).abs() < 1e-4, "{left} {right}");
    }
}
