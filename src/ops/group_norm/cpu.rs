//! Two passes over the data forward (moments, then scale and shift with the activation), two backward. Channels lie side by side, so every inner loop
//! runs over the channels of a row and the per-channel numbers it needs lie in tables.

use std::ops::Range;

use super::{Activation, Geometry};
use crate::device::cpu::Buffer;
use crate::ops::elementwise::exponential::{sigmoid, swish_slope};
use crate::ops::parallel;

/// Count, mean and sum of squared deviations of a group, in f64 so that merging loses nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::ops) struct Moments {
    pub count: f64,
    pub mean: f64,
    pub squares: f64,
}

impl Moments {
    /// The moments of both sets together (Chan, Golub, LeVeque 1979).
    fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        let difference = other.mean - self.mean;
        self.mean += difference * other.count / count;
        self.squares += other.squares + difference * difference * self.count * other.count / count;
        self.count = count;
    }
}

/// What normalises each group, `[samples, groups]`.
#[derive(Debug)]
pub(in crate::ops) struct Statistics {
    mean: Vec<f32>,
    /// 1 / sqrt(variance + epsilon).
    inverse_deviation: Vec<f32>,
}

impl Statistics {
    /// From a batch's moments.
    pub fn of(moments: &[Moments], epsilon: f32) -> Self {
        let inverse = |moments: &Moments| (1.0 / (moments.squares / moments.count + f64::from(epsilon)).sqrt()) as f32;
        Self { mean: moments.iter().map(|moments| moments.mean as f32).collect(), inverse_deviation: moments.iter().map(inverse).collect() }
    }

    /// From given means and variances.
    pub fn given(mean: &[f32], variance: &[f32], epsilon: f32) -> Self {
        let inverse = |&variance: &f32| (1.0 / (f64::from(variance) + f64::from(epsilon)).sqrt()) as f32;
        Self { mean: mean.to_vec(), inverse_deviation: variance.iter().map(inverse).collect() }
    }
}

/// Rows that one task handles; blocks start anew with each sample, so that its numbers do not depend on its neighbours.
fn block_rows(geometry: Geometry) -> usize {
    parallel::rows_per_task(geometry.channels).min(1024)
}

/// `f(sample, rows)` for every block of rows of every sample, results in order. `rows` counts over the whole batch.
fn blocks<T: Send>(geometry: Geometry, f: impl Fn(std::ops::Range<usize>) -> T + Sync + Send) -> Vec<T> {
    let (rows, per_sample) = (block_rows(geometry), geometry.positions.div_ceil(block_rows(geometry)));
    parallel::collect(
        geometry.samples * per_sample,
        #[inline(always)]
        |index| {
            let (sample, block) = (index / per_sample, index % per_sample);
            let first = sample * geometry.positions;
            f(first + block * rows..first + geometry.positions.min((block + 1) * rows))
        },
    )
}

/// Rows of channels: of one tensor, or of two whose channels lie beside each other.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Rows<'a> {
    /// The elements of each tensor, and how many of a row's channels it has.
    tensors: [(&'a [f32], usize); 2],
}

impl<'a> Rows<'a> {
    /// Of one tensor.
    pub fn of(elements: &'a [f32], channels: usize) -> Self {
        Self { tensors: [(elements, channels), (&[], 0)] }
    }

    /// With the channels of another behind.
    pub fn beside(self, elements: &'a [f32], channels: usize) -> Self {
        Self { tensors: [self.tensors[0], (elements, channels)] }
    }

    /// Some rows of each tensor, with the channels that it has.
    fn parts(self, rows: Range<usize>) -> impl Iterator<Item = (Range<usize>, &'a [f32])> {
        let first_channels = self.tensors[0].1;
        let starts = [0, first_channels];
        let part = move |((elements, channels), start): ((&'a [f32], usize), usize)| {
            (start..start + channels, &elements[rows.start * channels..rows.end * channels])
        };
        self.tensors.into_iter().zip(starts).filter(|((_, channels), _)| *channels > 0).map(part)
    }
}

/// The moments of every group, `[samples, groups]`.
pub(in crate::ops) fn moments(geometry: Geometry, x: Rows) -> Vec<Moments> {
    let Geometry { samples, channels, groups, .. } = geometry;
    let partial = blocks(
        geometry,
        #[inline(always)]
        |rows| block_moments(x, rows, channels, groups),
    );
    let per_sample = partial.len() / samples.max(1);
    let mut totals = vec![Moments::default(); samples * groups];
    for (block, moments) in partial.iter().enumerate() {
        let sample = block / per_sample;
        totals[sample * groups..(sample + 1) * groups].iter_mut().zip(moments).for_each(|(total, share)| total.merge(share));
    }
    totals
}

/// The moments of a few rows, which stay in the cache between the sweep for the means and the one for the deviations.
#[inline(always)]
fn block_moments(x: Rows, rows: Range<usize>, channels: usize, groups: usize) -> Vec<Moments> {
    let width = channels / groups;
    let count = (rows.len() * width) as f64;
    let mut sums = vec![0.0f32; channels];
    for (range, x) in x.parts(rows.clone()) {
        add_rows(x, &vec![0.0; range.len()], &mut sums[range], |value, _| value);
    }
    let group_sum = |sums: &[f32]| sums.iter().map(|&sum| f64::from(sum)).sum::<f64>();
    let means: Vec<f64> = sums.chunks(width).map(|sums| group_sum(sums) / count).collect();
    let centre: Vec<f32> = means.iter().flat_map(|&mean| std::iter::repeat_n(mean as f32, width)).collect();
    sums.fill(0.0);
    for (range, x) in x.parts(rows) {
        add_rows(x, &centre[range.clone()], &mut sums[range], |value, centre| (value - centre) * (value - centre));
    }
    means.iter().zip(sums.chunks(width)).map(|(&mean, squares)| Moments { count, mean, squares: group_sum(squares) }).collect()
}

/// Adds `f(element, its channel's table entry)` to each channel's sum, four rows at a time to spare the sums' loads and stores.
#[inline(always)]
fn add_rows(x: &[f32], table: &[f32], sums: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    let channels = sums.len();
    let table = &table[..channels];
    let mut fours = x.chunks_exact(4 * channels);
    for rows in &mut fours {
        let (first, second) = rows.split_at(2 * channels);
        let ((a, b), (c, d)) = (first.split_at(channels), second.split_at(channels));
        let (b, d) = (&b[..channels], &d[..channels]);
        for i in 0..channels {
            sums[i] += (f(a[i], table[i]) + f(b[i], table[i])) + (f(c[i], table[i]) + f(d[i], table[i]));
        }
    }
    for row in fours.remainder().chunks_exact(channels) {
        for i in 0..channels {
            sums[i] += f(row[i], table[i]);
        }
    }
}

/// Per sample and channel: the sums of the gradient (before the activation) and of its product with x - mean.
pub(in crate::ops) struct GradientSums {
    plain: Vec<f64>,
    centred: Vec<f64>,
}

/// Per-channel numbers of one sample.
struct Tables {
    mean: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// A normalisation with all that it needs but the data.
pub(in crate::ops) struct Normalization<'a> {
    pub geometry: Geometry,
    pub statistics: &'a Statistics,
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub activation: Activation,
}

impl Normalization<'_> {
    fn group(&self, sample: usize, channel: usize) -> usize {
        sample * self.geometry.groups + channel / (self.geometry.channels / self.geometry.groups)
    }

    /// Per-channel numbers of each sample.
    fn tables(&self) -> Vec<Tables> {
        let of_sample = |sample| {
            let channels = 0..self.geometry.channels;
            let mean: Vec<f32> = channels.clone().map(|channel| self.statistics.mean[self.group(sample, channel)]).collect();
            let inverse = |channel| self.statistics.inverse_deviation[self.group(sample, channel)];
            let scale: Vec<f32> = channels.clone().map(|channel| self.weight[channel] * inverse(channel)).collect();
            let shift = channels.map(|channel| (-mean[channel]).mul_add(scale[channel], self.bias[channel])).collect();
            Tables { mean, scale, shift }
        };
        (0..self.geometry.samples).map(of_sample).collect()
    }

    /// The normalised, activated rows.
    pub fn forward(&self, x: Rows) -> Buffer<f32> {
        match self.activation {
            Activation::Identity => self.forward_with(x, |value| value),
            Activation::Silu => self.forward_with(x, |value| value * sigmoid(value)),
        }
    }

    fn forward_with(&self, x: Rows, activate: impl Fn(f32) -> f32 + Sync + Send) -> Buffer<f32> {
        let Geometry { samples, positions, channels, .. } = self.geometry;
        let tables = self.tables();
        let mut output = Buffer::scratch(samples * positions * channels);
        parallel::chunks(
            &mut output,
            block_rows(self.geometry) * channels,
            #[inline(always)]
            |first, output| {
                let first = first / channels;
                for (range, x) in x.parts(first..first + output.len() / channels) {
                    for (row, (output, x)) in output.chunks_exact_mut(channels).zip(x.chunks_exact(range.len())).enumerate() {
                        let tables = &tables[(first + row) / positions];
                        let (scale, shift, output) = (&tables.scale[range.clone()], &tables.shift[range.clone()], &mut output[range.clone()]);
                        for (((output, x), scale), shift) in output.iter_mut().zip(x).zip(scale).zip(shift) {
                            *output = activate(x.mul_add(*scale, *shift));
                        }
                    }
                }
            },
        );
        output
    }

    /// First pass backward: all that depends on whole groups or whole channels.
    pub fn gradient_sums(&self, x: &[f32], gradient: &[f32]) -> GradientSums {
        match self.activation {
            Activation::Identity => self.gradient_sums_with(x, gradient, |_| 1.0),
            Activation::Silu => self.gradient_sums_with(x, gradient, |value| swish_slope(value, 1.0)),
        }
    }

    fn gradient_sums_with(&self, x: &[f32], gradient: &[f32], slope: impl Fn(f32) -> f32 + Sync + Send) -> GradientSums {
        let Geometry { samples, positions, channels, .. } = self.geometry;
        let tables = self.tables();
        let partial = blocks(
            self.geometry,
            #[inline(always)]
            |rows| {
                let tables = &tables[rows.start / positions];
                let (scale, shift, mean) = (&tables.scale[..channels], &tables.shift[..channels], &tables.mean[..channels]);
                let range = rows.start * channels..rows.end * channels;
                let (mut plain, mut centred) = (vec![0.0f32; channels], vec![0.0f32; channels]);
                let (plain_sums, centred_sums) = (&mut plain[..channels], &mut centred[..channels]);
                for (x, gradient) in x[range.clone()].chunks_exact(channels).zip(gradient[range].chunks_exact(channels)) {
                    for i in 0..channels {
                        let share = gradient[i] * slope(x[i].mul_add(scale[i], shift[i]));
                        plain_sums[i] += share;
                        centred_sums[i] = share.mul_add(x[i] - mean[i], centred_sums[i]);
                    }
                }
                (plain, centred)
            },
        );
        let mut sums = GradientSums { plain: vec![0.0; samples * channels], centred: vec![0.0; samples * channels] };
        let per_sample = partial.len() / samples.max(1);
        for (block, (plain, centred)) in partial.iter().enumerate() {
            let range = block / per_sample * channels..(block / per_sample + 1) * channels;
            sums.plain[range.clone()].iter_mut().zip(plain).for_each(|(sum, &share)| *sum += f64::from(share));
            sums.centred[range].iter_mut().zip(centred).for_each(|(sum, &share)| *sum += f64::from(share));
        }
        sums
    }

    /// The gradients of weight and bias.
    pub fn parameter_gradients(&self, sums: &GradientSums) -> (Buffer<f32>, Buffer<f32>) {
        let Geometry { samples, channels, .. } = self.geometry;
        let inverse = |sample, channel| f64::from(self.statistics.inverse_deviation[self.group(sample, channel)]);
        let (mut weight, mut bias) = (Buffer::scratch(channels), Buffer::scratch(channels));
        for channel in 0..channels {
            let centred = |sample: usize| sums.centred[sample * channels + channel] * inverse(sample, channel);
            weight[channel] = (0..samples).map(centred).sum::<f64>() as f32;
            bias[channel] = (0..samples).map(|sample| sums.plain[sample * channels + channel]).sum::<f64>() as f32;
        }
        (weight, bias)
    }

    /// The gradient of x where the statistics are x's own.
    pub fn backward(&self, x: &[f32], gradient: &[f32], sums: &GradientSums) -> Buffer<f32> {
        // Per group: means of dy·weight and of dy·weight·(x - mean)/deviation², the parts that the statistics take back.
        let Geometry { positions, channels, groups, samples } = self.geometry;
        let (mut plain, mut centred) = (vec![0.0f64; samples * groups], vec![0.0f64; samples * groups]);
        for index in 0..samples * channels {
            let (sample, channel) = (index / channels, index % channels);
            let (group, weight) = (self.group(sample, channel), f64::from(self.weight[channel]));
            plain[group] += weight * sums.plain[index];
            centred[group] += weight * sums.centred[index];
        }
        let count = (positions * (channels / groups)) as f64;
        for (group, (plain, centred)) in plain.iter_mut().zip(&mut centred).enumerate() {
            let inverse = f64::from(self.statistics.inverse_deviation[group]);
            *plain *= inverse / count;
            *centred *= inverse * inverse * inverse / count;
        }
        self.gradient_rows(x, gradient, &plain, &centred)
    }

    /// The gradient of x where the statistics are constants.
    pub fn backward_constant(&self, x: &[f32], gradient: &[f32]) -> Buffer<f32> {
        let zeros = vec![0.0; self.geometry.samples * self.geometry.groups];
        self.gradient_rows(x, gradient, &zeros, &zeros)
    }

    fn gradient_rows(&self, x: &[f32], gradient: &[f32], plain: &[f64], centred: &[f64]) -> Buffer<f32> {
        match self.activation {
            Activation::Identity => self.gradient_rows_with(x, gradient, plain, centred, |_| 1.0),
            Activation::Silu => self.gradient_rows_with(x, gradient, plain, centred, |value| swish_slope(value, 1.0)),
        }
    }

    fn gradient_rows_with(
        &self,
        x: &[f32],
        gradient: &[f32],
        plain: &[f64],
        centred: &[f64],
        slope: impl Fn(f32) -> f32 + Sync + Send,
    ) -> Buffer<f32> {
        let Geometry { positions, channels, samples, .. } = self.geometry;
        let tables = self.tables();
        let spread = |table: &[f64]| -> Vec<f32> {
            (0..samples * channels).map(|index| table[self.group(index / channels, index % channels)] as f32).collect()
        };
        let (plain, centred) = (spread(plain), spread(centred));
        let mut output = Buffer::scratch(x.len());
        parallel::chunks(
            &mut output,
            block_rows(self.geometry) * channels,
            #[inline(always)]
            |first, output| {
                let rows = output.chunks_exact_mut(channels).zip(x[first..].chunks_exact(channels)).zip(gradient[first..].chunks_exact(channels));
                for (row, ((output, x), gradient)) in rows.enumerate() {
                    let sample = (first / channels + row) / positions;
                    let tables = &tables[sample];
                    let (scale, shift, mean) = (&tables.scale[..channels], &tables.shift[..channels], &tables.mean[..channels]);
                    let (plain, centred) = (&plain[sample * channels..][..channels], &centred[sample * channels..][..channels]);
                    for i in 0..channels {
                        let share = gradient[i] * slope(x[i].mul_add(scale[i], shift[i]));
                        output[i] = share.mul_add(scale[i], -(x[i] - mean[i]).mul_add(centred[i], plain[i]));
                    }
                }
            },
        );
        output
    }
}
