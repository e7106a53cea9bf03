//! The weight maps over the positions of one image. `difference` and `mask` are `[height * width]`; sums run in f64 in a fixed order.

use super::{BOUND, Formula};
use crate::error::Result;
use crate::tensor::Tensor;

pub(super) fn weight_map(formula: Formula, channels: usize, x: &Tensor, reference: &Tensor, mask: &Tensor) -> Result<Vec<f32>> {
    let (a, b, inside) = (x.f32s()?, reference.f32s()?, mask.f32s()?);
    let squares = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
    let scale = if formula == Formula::Paper { 1.0 } else { channels as f32 };
    let difference: Vec<f32> = a.chunks(channels).zip(b.chunks(channels)).map(|pair| squares(pair) / scale).collect();
    let inside: Vec<bool> = inside.iter().map(|&inside| inside > 0.5).collect();
    let positions = mask.elements() / mask.dim(0).max(1);
    let of_image = match formula {
        Formula::Paper => paper,
        Formula::Official => official,
        Formula::Balanced => balanced,
    };
    let images = difference.chunks(positions.max(1)).zip(inside.chunks(positions.max(1)));
    Ok(images.flat_map(|(difference, inside)| of_image(difference, inside)).collect())
}

/// Eq. 7: w = |m|_1 softmax(1 / d) over the mask, 0 outside. A position that does not differ at all (d = 0) counts as -infinity and gets 0; when
/// none differs, all are equal (1 in the mask).
///
/// The softmax subtracts its largest argument first, which changes nothing but keeps it finite: 1/d of small differences overflows e^x.
pub(super) fn paper(difference: &[f32], mask: &[bool]) -> Vec<f32> {
    let inverse = |index: usize| match f64::from(difference[index]) {
        d if mask[index] && d > 0.0 => Some(1.0 / d),
        _ => None,
    };
    let area = mask.iter().filter(|&&inside| inside).count() as f64;
    let largest = (0..mask.len()).filter_map(inverse).fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return mask.iter().map(|&inside| f32::from(u8::from(inside))).collect();
    }
    let exponentials: Vec<f64> = (0..mask.len()).map(|index| inverse(index).map_or(0.0, |value| (value - largest).exp())).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|value| (area * value / sum) as f32).collect()
}

/// The released program's: w = |M|_1 (1/d) / sum(1/d) clamped to [1, 1.5] inside M, 1 outside. Like there, d = 0 counts as -1, which the clamp turns
/// into 1 (`ldm/models/diffusion/ddim.py`, `ddim_sampling`).
pub(super) fn official(difference: &[f32], mask: &[bool]) -> Vec<f32> {
    let inverse = |index: usize| match f64::from(difference[index]) {
        _ if !mask[index] => 0.0,
        0.0 => -1.0,
        d => 1.0 / d,
    };
    let area = mask.iter().filter(|&&inside| inside).count() as f64;
    let sum: f64 = (0..mask.len()).map(inverse).sum();
    if sum == 0.0 {
        return vec![1.0; mask.len()];
    }
    let weight = |index: usize| if mask[index] { (area * inverse(index) / sum).clamp(1.0, 1.5) as f32 } else { 1.0 };
    (0..mask.len()).map(weight).collect()
}

/// [`Formula::Balanced`]: w proportional to 1 / (d / mean(d) + 1/4), scaled and clamped so that it lies in [1/2, 2] and its mean over the mask is
/// exactly 1; 1 outside. It depends on ratios of differences only, so neither the noise level nor the latents' scale matters.
pub(super) fn balanced(difference: &[f32], mask: &[bool]) -> Vec<f32> {
    let inside: Vec<usize> = (0..mask.len()).filter(|&index| mask[index]).collect();
    let mut weights = vec![1.0; mask.len()];
    let mean = inside.iter().map(|&index| f64::from(difference[index])).sum::<f64>() / inside.len().max(1) as f64;
    if !(mean > 0.0 && mean.is_finite()) {
        return weights;
    }
    let raw: Vec<f64> = inside.iter().map(|&index| 1.0 / (f64::from(difference[index]) / mean + 0.25)).collect();
    let clamped = |scale: f64, value: f64| (scale * value).clamp(1.0 / BOUND, BOUND);
    let average = |scale: f64| raw.iter().map(|&value| clamped(scale, value)).sum::<f64>() / raw.len() as f64;
    // The average grows with the scale from 1/BOUND to BOUND, so halving the interval finds where it is 1.
    let (mut low, mut high) = (0.0, BOUND * raw.iter().fold(0.0, |largest: f64, value| largest.max(1.0 / value)));
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if average(middle) < 1.0 { low = middle } else { high = middle }
    }
    for (&index, &value) in inside.iter().zip(&raw) {
        weights[index] = clamped(high, value) as f32;
    }
    weights
}
