//! What happens to one row of a tile between the matrix products, beyond the steps of softmax.

use crate::ops::elementwise::exponential::exp_nonpositive;

/// Replaces each logit by its probability.
#[inline(always)]
pub(super) fn probabilities(row: &mut [f32], maximum: f32, inverse_sum: f32) {
    row.iter_mut().for_each(|value| *value = exp_nonpositive(*value - maximum) * inverse_sum);
}

/// Multiplies by `weight` where the mark is not 0.
#[inline(always)]
pub(super) fn weigh(row: &mut [f32], marks: &[f32], weight: f32) {
    for (value, &mark) in row.iter_mut().zip(marks) {
        *value *= if mark != 0.0 { weight } else { 1.0 };
    }
}
