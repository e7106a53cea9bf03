//! Bilinear interpolation: two neighbours in each axis, with PyTorch's coordinates.

use super::Geometry;
use super::cpu::{row, rows};
use crate::device::cpu::Buffer;

/// The two inputs that an output lies between.
#[derive(Clone, Copy, Debug)]
struct Tap {
    low: usize,
    high: usize,
    /// Weight of `high`; `low` has the rest.
    weight: f32,
}

/// The taps of every output of one axis (`area_pixel_compute_source_index` of PyTorch).
fn taps(from: usize, to: usize, align_corners: bool) -> Vec<Tap> {
    let scale = match align_corners {
        true if to > 1 => (from - 1) as f32 / (to - 1) as f32,
        true => 0.0,
        false => from as f32 / to as f32,
    };
    let tap = |index: usize| {
        let position = if align_corners { scale * index as f32 } else { (scale * (index as f32 + 0.5) - 0.5).max(0.0) };
        let low = (position as usize).min(from - 1);
        Tap { low, high: (low + 1).min(from - 1), weight: (position - low as f32).clamp(0.0, 1.0) }
    };
    (0..to).map(tap).collect()
}

pub(super) fn forward(geometry: Geometry, align_corners: bool, x: &[f32]) -> Buffer<f32> {
    let Geometry { from, to, channels, .. } = geometry;
    let (vertical, horizontal) = (taps(from[0], to[0], align_corners), taps(from[1], to[1], align_corners));
    let mut output = Buffer::scratch(geometry.outputs());
    rows(&mut output, geometry.output_sizes(), |sample, y, output| {
        let above = row(x, geometry.input_sizes(), sample, vertical[y].low);
        let below = row(x, geometry.input_sizes(), sample, vertical[y].high);
        let (down, up) = (vertical[y].weight, 1.0 - vertical[y].weight);
        for (output, tap) in output.chunks_exact_mut(channels).zip(&horizontal) {
            let pixel = |column: usize| column * channels..(column + 1) * channels;
            let (low, high) = (pixel(tap.low), pixel(tap.high));
            let (right, left) = (tap.weight, 1.0 - tap.weight);
            let top = above[low.clone()].iter().zip(&above[high.clone()]);
            let bottom = below[low].iter().zip(&below[high]);
            for ((output, (a, b)), (c, d)) in output.iter_mut().zip(top).zip(bottom) {
                *output = up * (left * a + right * b) + down * (left * c + right * d);
            }
        }
    });
    output
}

/// The transpose: every input gathers from the outputs that used it, in their order.
pub(super) fn backward(geometry: Geometry, align_corners: bool, gradient: &[f32]) -> Buffer<f32> {
    let Geometry { from, to, channels, .. } = geometry;
    let vertical = users(&taps(from[0], to[0], align_corners), from[0]);
    let horizontal = users(&taps(from[1], to[1], align_corners), from[1]);
    let mut output = Buffer::scratch(geometry.inputs());
    rows(&mut output, geometry.input_sizes(), |sample, y, output| {
        output.fill(0.0);
        for &(used_y, weight_y) in &vertical[y] {
            let gradient = row(gradient, geometry.output_sizes(), sample, used_y);
            for (output, users) in output.chunks_exact_mut(channels).zip(&horizontal) {
                for &(used_x, weight_x) in users {
                    let weight = weight_y * weight_x;
                    let share = &gradient[used_x * channels..][..channels];
                    output.iter_mut().zip(share).for_each(|(sum, share)| *sum += weight * share);
                }
            }
        }
    });
    output
}

/// For each input of one axis, the outputs that use it and with what weight.
fn users(taps: &[Tap], from: usize) -> Vec<Vec<(usize, f32)>> {
    let mut users = vec![Vec::new(); from];
    for (index, tap) in taps.iter().enumerate() {
        users[tap.low].push((index, 1.0 - tap.weight));
        users[tap.high].push((index, tap.weight));
    }
    users
}
