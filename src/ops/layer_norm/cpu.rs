//! A row at a time: it stays in the first-level cache between the sweeps.

use super::Geometry;
use crate::device::cpu::Buffer;
use crate::ops::{parallel, reduction};

/// What normalises a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowStatistics {
    mean: f32,
    /// 1 / sqrt(variance + epsilon).
    inverse_deviation: f32,
}

/// The statistics of every row.
pub(super) fn statistics(geometry: Geometry, x: &[f32], epsilon: f32) -> Vec<RowStatistics> {
    let Geometry { rows, channels } = geometry;
    let mut statistics = vec![RowStatistics::default(); rows];
    parallel::chunks(&mut statistics, parallel::rows_per_task(channels), |first, statistics| {
        for (statistics, row) in statistics.iter_mut().zip(x[first * channels..].chunks_exact(channels)) {
            let mean = reduction::row_sum(row, |value| value) / channels as f32;
            let variance = reduction::row_sum(row, |value| (value - mean) * (value - mean)) / channels as f32;
            *statistics = RowStatistics { mean, inverse_deviation: 1.0 / (variance + epsilon).sqrt() };
        }
    });
    statistics
}

/// The normalised rows.
pub(super) fn forward(geometry: Geometry, x: &[f32], statistics: &[RowStatistics], weight: &[f32], bias: &[f32]) -> Buffer<f32> {
    let channels = geometry.channels;
    let (weight, bias) = (&weight[..channels], &bias[..channels]);
    let mut output = Buffer::scratch(x.len());
    parallel::chunks(&mut output, parallel::rows_per_task(channels) * channels, |first, output| {
        let rows = output.chunks_exact_mut(channels).zip(x[first..].chunks_exact(channels)).zip(&statistics[first / channels..]);
        for ((output, x), statistics) in rows {
            for i in 0..channels {
                output[i] = ((x[i] - statistics.mean) * statistics.inverse_deviation).mul_add(weight[i], bias[i]);
            }
        }
    });
    output
}

/// The gradient of x.
pub(super) fn backward(geometry: Geometry, x: &[f32], gradient: &[f32], statistics: &[RowStatistics], weight: &[f32]) -> Buffer<f32> {
    let channels = geometry.channels;
    let weight = &weight[..channels];
    let mut output = Buffer::scratch(x.len());
    parallel::chunks(&mut output, parallel::rows_per_task(channels) * channels, |first, output| {
        let rows = output.chunks_exact_mut(channels).zip(x[first..].chunks_exact(channels)).zip(gradient[first..].chunks_exact(channels));
        for (((output, x), gradient), statistics) in rows.zip(&statistics[first / channels..]) {
            let RowStatistics { mean, inverse_deviation: inverse } = *statistics;
            for i in 0..channels {
                output[i] = gradient[i] * weight[i];
            }
            // What the row's mean and deviation take back.
            let plain = reduction::row_sum(output, |share| share) / channels as f32;
            let centred = reduction::row_sum2(output, x, |share, x| share * (x - mean)) * inverse * inverse / channels as f32;
            for i in 0..channels {
                output[i] = inverse * (output[i] - (x[i] - mean).mul_add(centred, plain));
            }
        }
    });
    output
}

/// The gradients of weight and bias.
pub(super) fn parameter_gradients(geometry: Geometry, x: &[f32], gradient: &[f32], statistics: &[RowStatistics]) -> (Buffer<f32>, Buffer<f32>) {
    let Geometry { rows, channels } = geometry;
    let sums = reduction::column_sums(rows, 2 * channels, |row, sums| {
        let RowStatistics { mean, inverse_deviation: inverse } = statistics[row];
        let (x, gradient) = (&x[row * channels..][..channels], &gradient[row * channels..][..channels]);
        let (to_weight, to_bias) = sums.split_at_mut(channels);
        for i in 0..channels {
            to_weight[i] += gradient[i] * ((x[i] - mean) * inverse);
            to_bias[i] += gradient[i];
        }
    });
    let narrow = |sums: &[f64]| Buffer::from(sums.iter().map(|&sum| sum as f32).collect::<Vec<_>>());
    (narrow(&sums[..channels]), narrow(&sums[channels..]))
}
