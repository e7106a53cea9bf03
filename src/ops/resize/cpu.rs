//! Pixels are runs of channels; each task writes whole rows of an image, so that sums have one order.

use std::ops::Range;

use super::Geometry;
use crate::device::cpu::Buffer;
use crate::ops::parallel;

/// Fills `[batch, height, width, channels]` row by row: `f(sample, y, row of the image)`.
pub(super) fn rows(output: &mut [f32], [height, width, channels]: [usize; 3], f: impl Fn(usize, usize, &mut [f32]) + Sync + Send) {
    let row = width * channels;
    parallel::chunks(output, parallel::rows_per_task(row) * row, |first, output| {
        for (index, output) in output.chunks_exact_mut(row).enumerate() {
            let position = first / row + index;
            f(position / height, position % height, output);
        }
    });
}

/// One row of pixels of one sample.
pub(super) fn row(image: &[f32], [height, width, channels]: [usize; 3], sample: usize, y: usize) -> &[f32] {
    &image[(sample * height + y) * width * channels..][..width * channels]
}

pub(super) fn add(sums: &mut [f32], terms: &[f32]) {
    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
}

impl Geometry {
    pub(super) fn input_sizes(&self) -> [usize; 3] {
        [self.from[0], self.from[1], self.channels]
    }

    pub(super) fn output_sizes(&self) -> [usize; 3] {
        [self.to[0], self.to[1], self.channels]
    }
}

/// Each pixel `factor` times in both axes.
pub(super) fn upsample(geometry: Geometry, factor: usize, x: &[f32]) -> Buffer<f32> {
    let channels = geometry.channels;
    let mut output = Buffer::scratch(geometry.outputs());
    rows(&mut output, geometry.output_sizes(), |sample, y, output| {
        let pixels = row(x, geometry.input_sizes(), sample, y / factor).chunks_exact(channels);
        for (copies, pixel) in output.chunks_exact_mut(factor * channels).zip(pixels) {
            copies.chunks_exact_mut(channels).for_each(|copy| copy.copy_from_slice(pixel));
        }
    });
    output
}

/// Sums of the copies' gradients.
pub(super) fn upsample_backward(geometry: Geometry, factor: usize, gradient: &[f32]) -> Buffer<f32> {
    let channels = geometry.channels;
    let mut output = Buffer::scratch(geometry.inputs());
    rows(&mut output, geometry.input_sizes(), |sample, y, output| {
        output.fill(0.0);
        for copy in 0..factor {
            let gradient = row(gradient, geometry.output_sizes(), sample, y * factor + copy);
            for (pixel, copies) in output.chunks_exact_mut(channels).zip(gradient.chunks_exact(factor * channels)) {
                copies.chunks_exact(channels).for_each(|copy| add(pixel, copy));
            }
        }
    });
    output
}

/// The inputs that output `index` of `to` averages over, as PyTorch's adaptive pooling.
fn window(index: usize, from: usize, to: usize) -> Range<usize> {
    index * from / to..((index + 1) * from).div_ceil(to)
}

/// The outputs whose window holds input `index`.
fn windows_with(index: usize, from: usize, to: usize) -> impl Iterator<Item = usize> {
    let first = (index * to / from).saturating_sub(1);
    (first..to).take_while(move |&output| window(output, from, to).start <= index).filter(move |&output| window(output, from, to).contains(&index))
}

/// Means over windows.
pub(super) fn area_pool(geometry: Geometry, x: &[f32]) -> Buffer<f32> {
    let Geometry { from, to, channels, .. } = geometry;
    let mut output = Buffer::scratch(geometry.outputs());
    rows(&mut output, geometry.output_sizes(), |sample, y, output| {
        for (column, output) in output.chunks_exact_mut(channels).enumerate() {
            let (ys, xs) = (window(y, from[0], to[0]), window(column, from[1], to[1]));
            let factor = 1.0 / (ys.len() * xs.len()) as f32;
            output.fill(0.0);
            for y in ys {
                let pixels = &row(x, geometry.input_sizes(), sample, y)[xs.start * channels..xs.end * channels];
                pixels.chunks_exact(channels).for_each(|pixel| add(output, pixel));
            }
            output.iter_mut().for_each(|value| *value *= factor);
        }
    });
    output
}

/// Each pixel's share of the windows that hold it.
pub(super) fn area_pool_backward(geometry: Geometry, gradient: &[f32]) -> Buffer<f32> {
    let Geometry { from, to, channels, .. } = geometry;
    let mut output = Buffer::scratch(geometry.inputs());
    rows(&mut output, geometry.input_sizes(), |sample, y, output| {
        output.fill(0.0);
        for window_y in windows_with(y, from[0], to[0]) {
            let gradient = row(gradient, geometry.output_sizes(), sample, window_y);
            for (column, output) in output.chunks_exact_mut(channels).enumerate() {
                for window_x in windows_with(column, from[1], to[1]) {
                    let factor = 1.0 / (window(window_y, from[0], to[0]).len() * window(window_x, from[1], to[1]).len()) as f32;
                    let share = &gradient[window_x * channels..][..channels];
                    output.iter_mut().zip(share).for_each(|(sum, share)| *sum += factor * share);
                }
            }
        }
    });
    output
}

/// A pooling window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Window {
    /// The inputs, `size` in all, under output `index`.
    fn inputs(&self, index: usize, size: usize) -> Range<usize> {
        let first = index * self.stride;
        first.saturating_sub(self.padding)..(first + self.kernel).saturating_sub(self.padding).min(size)
    }
}

/// Means over the window around each pixel, zeros beyond the border counted.
pub(super) fn average_pool(geometry: Geometry, kernel: usize, x: &[f32]) -> Buffer<f32> {
    let Geometry { from, channels, .. } = geometry;
    let window = Window { kernel, stride: 1, padding: kernel / 2 };
    let factor = 1.0 / (kernel * kernel) as f32;
    let mut output = Buffer::scratch(geometry.outputs());
    rows(&mut output, geometry.output_sizes(), |sample, y, output| {
        output.fill(0.0);
        for y in window.inputs(y, from[0]) {
            let pixels = row(x, geometry.input_sizes(), sample, y);
            for (column, output) in output.chunks_exact_mut(channels).enumerate() {
                let columns = window.inputs(column, from[1]);
                pixels[columns.start * channels..columns.end * channels].chunks_exact(channels).for_each(|pixel| add(output, pixel));
            }
        }
        output.iter_mut().for_each(|value| *value *= factor);
    });
    output
}

/// Maxima over windows and, where wanted, the position (y · width + x) of each in its sample.
pub(super) fn max_pool(geometry: Geometry, window: Window, x: &[f32], wants_winners: bool) -> (Buffer<f32>, Buffer<i32>) {
    let Geometry { from, to, channels, .. } = geometry;
    let mut output = Buffer::scratch(geometry.outputs());
    rows(&mut output, geometry.output_sizes(), |sample, y, output| {
        for (column, output) in output.chunks_exact_mut(channels).enumerate() {
            output.fill(f32::NEG_INFINITY);
            for y in window.inputs(y, from[0]) {
                let image_row = row(x, geometry.input_sizes(), sample, y);
                for x in window.inputs(column, from[1]) {
                    // Written so that NaN wins.
                    let pixel = &image_row[x * channels..][..channels];
                    output.iter_mut().zip(pixel).for_each(|(best, &value)| *best = if *best >= value { *best } else { value });
                }
            }
        }
    });
    let mut winners = Buffer::scratch(if wants_winners { output.len() } else { 0 });
    let pixel_row = to[1] * channels;
    parallel::chunks(&mut winners, pixel_row, |first, winners| {
        let (sample, y) = (first / pixel_row / to[0], first / pixel_row % to[0]);
        for (index, winner) in winners.iter_mut().enumerate() {
            let (column, channel, best) = (index / channels, index % channels, output[first + index]);
            let candidates = window.inputs(y, from[0]).flat_map(|y| window.inputs(column, from[1]).map(move |x| y * from[1] + x));
            let value = |position: usize| x[(sample * from[0] * from[1] + position) * channels + channel];
            *winner = candidates.into_iter().find(|&position| value(position) == best).map_or(-1, |position| position as i32);
        }
    });
    (output, winners)
}

/// Each gradient goes to its window's winner. Samples are independent; inside one the order is that of the outputs.
pub(super) fn max_pool_backward(geometry: Geometry, winners: &[i32], gradient: &[f32]) -> Buffer<f32> {
    let channels = geometry.channels;
    let (input, outputs) = (geometry.inputs() / geometry.batch, geometry.outputs() / geometry.batch);
    let mut output = Buffer::zeros(geometry.inputs());
    parallel::chunks(&mut output, input, |first, output| {
        let range = first / input * outputs..(first / input + 1) * outputs;
        for (index, (&winner, &share)) in winners[range.clone()].iter().zip(&gradient[range]).enumerate() {
            // A window of NaN alone has no winner.
            if let Ok(winner) = usize::try_from(winner) {
                output[winner * channels + index % channels] += share;
            }
        }
    });
    output
}
