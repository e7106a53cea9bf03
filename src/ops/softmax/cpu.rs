//! A row at a time: maximum, exponentials with their sum, division. Attention uses the same steps.

use crate::device::cpu::Buffer;
use crate::ops::elementwise::exponential::exp_nonpositive;
use crate::ops::{parallel, reduction};

/// Independent partial results, enough to fill the vector units.
const LANES: usize = 32;

/// The largest element of a row; negative infinity when there is none.
#[inline(always)]
pub(in crate::ops) fn maximum(row: &[f32]) -> f32 {
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

/// Replaces each element of a row by e^(element - maximum) and gives their sum.
#[inline(always)]
pub(in crate::ops) fn exponentials(row: &mut [f32], maximum: f32) -> f32 {
    row.iter_mut().for_each(|value| *value = exp_nonpositive(*value - maximum));
    reduction::row_sum(row, |value| value)
}

/// Multiplies a row by one number.
#[inline(always)]
pub(in crate::ops) fn scale(row: &mut [f32], factor: f32) {
    row.iter_mut().for_each(|value| *value *= factor);
}

/// Softmax of every row.
pub(super) fn softmax(classes: usize, x: &[f32]) -> Buffer<f32> {
    let mut output = Buffer::scratch(x.len());
    parallel::chunks(
        &mut output,
        parallel::rows_per_task(classes) * classes,
        #[inline(always)]
        |first, output| {
            for (output, x) in output.chunks_exact_mut(classes).zip(x[first..].chunks_exact(classes)) {
                output.copy_from_slice(x);
                let sum = exponentials(output, maximum(x));
                scale(output, 1.0 / sum);
            }
        },
    );
    output
}

/// p (dy - sum of p dy), from the probabilities.
pub(super) fn softmax_backward(classes: usize, probabilities: &[f32], gradient: &[f32]) -> Buffer<f32> {
    let mut output = Buffer::scratch(gradient.len());
    parallel::chunks(
        &mut output,
        parallel::rows_per_task(classes) * classes,
        #[inline(always)]
        |first, output| {
            let rows = probabilities[first..].chunks_exact(classes).zip(gradient[first..].chunks_exact(classes));
            for (output, (probabilities, gradient)) in output.chunks_exact_mut(classes).zip(rows) {
                let mean = reduction::row_sum2(probabilities, gradient, |p, g| p * g);
                for ((output, &p), &g) in output.iter_mut().zip(probabilities).zip(gradient) {
                    *output = p * (g - mean);
                }
            }
        },
    );
    output
}

/// The mean cross-entropy and its gradient, (softmax - one-hot) / rows.
pub(super) fn cross_entropy(classes: usize, x: &[f32], labels: &[i32]) -> (f64, Buffer<f32>) {
    let mut gradient = softmax(classes, x);
    let mut loss = 0.0;
    for ((row, gradient), &label) in x.chunks_exact(classes).zip(gradient.chunks_exact_mut(classes)).zip(labels) {
        let (label, maximum) = (label as usize, maximum(row));
        // From the logits, not from the probability, which may have rounded to 0.
        let sum: f64 = row.iter().map(|&value| f64::from(exp_nonpositive(value - maximum))).sum();
        loss += sum.ln() + f64::from(maximum) - f64::from(row[label]);
        gradient[label] -= 1.0;
        scale(gradient, 1.0 / labels.len() as f32);
    }
    (loss / labels.len() as f64, gradient)
}
