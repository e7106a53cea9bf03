//! What happens to one row of a tile between the matrix products.

use crate::ops::elementwise::exponential::exp;

/// Independent partial results, enough to fill the vector units.
const LANES: usize = 32;

/// The largest element; negative infinity when there is none.
pub(super) fn maximum(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut runs = row.chunks_exact(LANES);
    for run in &mut runs {
        for (lane, &value) in lanes.iter_mut().zip(run) {
            *lane = larger(*lane, value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(runs.remainder()) {
        *lane = larger(*lane, value);
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, larger)
}

/// Replaces each element by e^(element - maximum) and gives their sum.
pub(super) fn exponentials(row: &mut [f32], maximum: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut runs = row.chunks_exact_mut(LANES);
    for run in &mut runs {
        for (lane, value) in lanes.iter_mut().zip(run) {
            *value = exp(*value - maximum);
            *lane += *value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(runs.into_remainder()) {
        *value = exp(*value - maximum);
        *lane += *value;
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Replaces each logit by its probability.
pub(super) fn probabilities(row: &mut [f32], maximum: f32, inverse_sum: f32) {
    row.iter_mut().for_each(|value| *value = exp(*value - maximum) * inverse_sum);
}

/// Multiplies by one number.
pub(super) fn scale(row: &mut [f32], factor: f32) {
    row.iter_mut().for_each(|value| *value *= factor);
}

/// Multiplies by `weight` where the mark is not 0.
pub(super) fn weigh(row: &mut [f32], marks: &[f32], weight: f32) {
    for (value, &mark) in row.iter_mut().zip(marks) {
        *value *= if mark != 0.0 { weight } else { 1.0 };
    }
}
