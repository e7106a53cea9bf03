//! Squared errors with their gradient in one pass.

use super::{Geometry, MaskedMean};
use crate::device::cpu::Buffer;
use crate::ops::parallel;

/// Sum of scale · (mask · (target - prediction))² and, where wanted, its gradient with respect to the prediction (empty otherwise).
pub(super) fn squared_error(
    geometry: Geometry,
    prediction: &[f32],
    target: &[f32],
    mask: Option<(&[f32], MaskedMean)>,
    wants_gradient: bool,
) -> (f64, Buffer<f32>) {
    let Geometry { batch, positions, channels } = geometry;
    let mut gradient = Buffer::scratch(if wants_gradient { prediction.len() } else { 0 });
    let mut loss = 0.0;
    let length = positions * channels;
    for sample in 0..batch {
        let range = sample * length..(sample + 1) * length;
        let mask = mask.map(|(mask, mean)| (&mask[sample * positions..(sample + 1) * positions], mean));
        let scale = scale(geometry, mask);
        let gradient = if wants_gradient { &mut gradient[range.clone()] } else { &mut [] };
        loss += scale * sample_error(channels, &prediction[range.clone()], &target[range], mask.map(|(mask, _)| mask), scale as f32, gradient);
    }
    (loss, gradient)
}

/// What a sample's sum is multiplied by.
fn scale(geometry: Geometry, mask: Option<(&[f32], MaskedMean)>) -> f64 {
    let Geometry { batch, positions, channels } = geometry;
    match mask {
        Some((mask, MaskedMean::MaskArea)) => {
            let area: f64 = mask.iter().map(|&value| f64::from(value)).sum();
            if area > 0.0 { 1.0 / (area * channels as f64 * batch as f64) } else { 0.0 }
        }
        _ => 1.0 / (batch * positions * channels) as f64,
    }
}

/// The unscaled sum of one sample; writes the scaled gradient where there is room for it.
fn sample_error(channels: usize, prediction: &[f32], target: &[f32], mask: Option<&[f32]>, scale: f32, gradient: &mut [f32]) -> f64 {
    let weight = |element: usize| mask.map_or(1.0, |mask| mask[element / channels]);
    if !gradient.is_empty() {
        parallel::chunks(
            gradient,
            parallel::TASK_ELEMENTS,
            #[inline(always)]
            |first, gradient| {
                for (index, gradient) in gradient.iter_mut().enumerate() {
                    let (element, weight) = (first + index, weight(first + index));
                    *gradient = 2.0 * scale * weight * weight * (prediction[element] - target[element]);
                }
            },
        );
    }
    let tasks = prediction.len().div_ceil(parallel::TASK_ELEMENTS);
    let partial = parallel::collect(
        tasks,
        #[inline(always)]
        |task| {
            let range = task * parallel::TASK_ELEMENTS..prediction.len().min((task + 1) * parallel::TASK_ELEMENTS);
            range.map(|element| f64::from(weight(element) * (target[element] - prediction[element])).powi(2)).sum::<f64>()
        },
    );
    partial.iter().sum()
}
