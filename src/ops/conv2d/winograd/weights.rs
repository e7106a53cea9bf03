//! The weight's points, a few channels at a time, in the order that the kernel reads.

use std::ops::Range;

use super::block::store_point;
use super::transform::{Weight, both_axes};
use crate::device::cpu::gemm::kernel::COLUMNS;
use crate::device::cpu::lanes::{LANES, Lanes, prefetch};

/// The 3 x 3 weight `[out, 3, 3, in]` of a layer, seen from the pass that uses it.
#[derive(Clone, Copy, Debug)]
pub(super) enum View {
    /// Channels are the layer's inputs, outputs its outputs.
    Forward,
    /// Channels are the layer's outputs, outputs its inputs, the window turned around.
    InputGradient,
}

/// The 3 x 3 taps of up to eight channels, eight outputs side by side.
type Taps = [[Lanes; LANES]; 9];

/// A weight and how it is seen.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct WeightView<'a> {
    data: &'a [f32],
    /// Inputs of the layer: the innermost axis.
    inputs: usize,
    view: View,
}

impl<'a> WeightView<'a> {
    /// For the forward pass.
    pub(in super::super) fn forward(data: &'a [f32], inputs: usize) -> Self {
        Self { data, inputs, view: View::Forward }
    }

    /// For the gradient of the input.
    pub(in super::super) fn input_gradient(data: &'a [f32], inputs: usize) -> Self {
        Self { data, inputs, view: View::InputGradient }
    }

    /// Writes the points of `channels` channels from `channel` on and up to [`COLUMNS`] outputs from `output` on: point `p`, channel `c` at
    /// `points[p * plane + c * COLUMNS..]`. Outputs beyond `used` are zero.
    pub(super) fn transform(&self, channel: usize, channels: usize, output: usize, used: usize, points: &mut [f32], plane: usize) {
        let mut taps: Taps = [[Lanes::splat(0.0); LANES]; 9];
        for part in (0..COLUMNS).step_by(LANES) {
            let outputs = output + part..output + used.clamp(part, part + LANES);
            for first in (0..channels).step_by(LANES) {
                let count = LANES.min(channels - first);
                match self.view {
                    View::Forward => self.forward_taps(channel + first, count, outputs.clone(), &mut taps),
                    View::InputGradient => self.gradient_taps(channel + first, count, outputs.clone(), &mut taps),
                }
                for index in 0..count {
                    let at = (first + index) * COLUMNS + part;
                    both_axes::<Weight>(|y, x| taps[y * 3 + x][index], |i, j, value| store_point(points, plane, at, [i, j], value));
                }
            }
        }
    }

    /// `[tap][channel]` of up to eight outputs, which are far apart in memory: read along the channels and transposed.
    #[inline(always)]
    fn forward_taps(&self, channel: usize, channels: usize, outputs: Range<usize>, taps: &mut Taps) {
        for (tap, to) in taps.iter_mut().enumerate() {
            let mut rows = [Lanes::splat(0.0); LANES];
            for (row, output) in rows.iter_mut().zip(outputs.clone()) {
                let from = (output * 9 + tap) * self.inputs + channel;
                let run = &self.data[from..from + channels];
                // 72 runs at once are too many for the processor to foresee.
                prefetch(run, 4 * LANES);
                *row = Lanes::load(run);
            }
            *to = Lanes::transpose(rows);
        }
    }

    /// `[tap][channel]` of up to eight outputs, which are neighbours in memory.
    #[inline(always)]
    fn gradient_taps(&self, channel: usize, channels: usize, outputs: Range<usize>, taps: &mut Taps) {
        if outputs.is_empty() {
            *taps = [[Lanes::splat(0.0); LANES]; 9];
            return;
        }
        for (tap, to) in taps.iter_mut().enumerate() {
            for (row, channel) in to.iter_mut().zip(channel..channel + channels) {
                let from = (channel * 9 + 8 - tap) * self.inputs;
                *row = Lanes::load(&self.data[from + outputs.start..from + outputs.end]);
            }
        }
    }
}
