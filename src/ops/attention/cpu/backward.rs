//! Tiles once more: from the kept maxima and sums the probabilities, from them and the output's gradient those of q, k and v.
//!
//! With P the probabilities, W their weights, dO the output's gradient: dV = (P∘W)ᵀ dO; dP = W∘(dO Vᵀ); dS = P∘(dP - row sum of dO∘O);
//! dQ = dS K and dK = dSᵀ Q, both times scale and, on marked columns, the logit weight.

use std::ops::Range;

use rayon::prelude::*;

use super::{COLUMN_TILE, Head, HeadRows, Inputs, ROW_TILE, RowStatistics, head_rows, row};
use crate::device::cpu::Buffer;
use crate::device::cpu::gemm::{AcrossDepth, AlongDepth, Finish, MatrixMut, MatrixRef, gemm, product_on_this_thread};
use crate::ops::{parallel, reduction};

/// Fewest tasks of a sample; with fewer heads, each head's rows are divided.
const TASKS: usize = 4;

/// The gradients of q, k and v, where wanted.
pub(in crate::ops) fn backward(
    inputs: &Inputs,
    output: &[f32],
    gradient: &[f32],
    statistics: &[RowStatistics],
    wanted: [bool; 3],
) -> [Option<Buffer<f32>>; 3] {
    let geometry = inputs.geometry;
    let tiles = geometry.rows.div_ceil(ROW_TILE);
    let parts = TASKS.div_ceil(geometry.heads).min(tiles).max(1);
    let run = tiles.div_ceil(parts).max(1) * ROW_TILE;
    let mut to_q = Buffer::scratch(inputs.q.len());
    let tasks = head_rows(&mut to_q, geometry, geometry.rows, run);
    // In the order of tasks: sample, part, head.
    let columns: Vec<ColumnGradients> = tasks
        .into_par_iter()
        .with_max_len(1)
        .map(|task| {
            let place = (task.sample * geometry.heads + task.head) * geometry.rows;
            let offset = task.sample * geometry.rows * geometry.channels() + task.head * geometry.width;
            let saved = Saved { output: &output[offset..], gradient: &gradient[offset..], statistics: &statistics[place..place + geometry.rows] };
            backward_rows(&inputs.head(task.sample, task.head), &saved, task, wanted)
        })
        .collect();
    let gather = |pick: fn(&ColumnGradients) -> &Buffer<f32>| gather(inputs, &columns, pick);
    [wanted[0].then_some(to_q), wanted[1].then(|| gather(|part| &part.to_k)), wanted[2].then(|| gather(|part| &part.to_v))]
}

/// One head's output, its gradient and its rows' statistics.
struct Saved<'a> {
    output: &'a [f32],
    gradient: &'a [f32],
    statistics: &'a [RowStatistics],
}

/// What some rows of one head give to k and v, each `[columns, width]`; empty where not wanted.
struct ColumnGradients {
    to_k: Buffer<f32>,
    to_v: Buffer<f32>,
}

fn backward_rows(head: &Head, saved: &Saved, mut task: HeadRows, wanted: [bool; 3]) -> ColumnGradients {
    let elements = head.geometry.columns * head.geometry.width;
    let zeros = |wanted: bool| Buffer::zeros(if wanted { elements } else { 0 });
    let mut sums = ColumnGradients { to_k: zeros(wanted[1]), to_v: zeros(wanted[2]) };
    let tile = ROW_TILE * COLUMN_TILE.min(head.geometry.columns);
    let (mut probabilities, mut gradients) = (Buffer::scratch(tile), Buffer::scratch(tile));
    for (index, to_q) in task.rows.chunks_mut(ROW_TILE).enumerate() {
        let first = task.first + index * ROW_TILE;
        let rows = first..first + to_q.len();
        let corrections = corrections(head, saved, &rows);
        for columns in head.column_tiles(rows.end - 1) {
            let mut tile = Tile { head, saved, rows: rows.clone(), columns, probabilities: &mut probabilities, gradients: &mut gradients };
            tile.fill(&corrections, wanted);
            tile.add(to_q, &mut sums, wanted);
        }
    }
    sums
}

/// Row sums of dO∘O.
fn corrections(head: &Head, saved: &Saved, rows: &Range<usize>) -> Vec<f32> {
    let (stride, width) = (head.geometry.channels(), head.geometry.width);
    let of_row = |row: usize| reduction::row_sum2(&saved.output[row * stride..][..width], &saved.gradient[row * stride..][..width], |o, g| o * g);
    rows.clone().map(of_row).collect()
}

struct Tile<'a> {
    head: &'a Head<'a>,
    saved: &'a Saved<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    /// P∘W, `[rows, columns]`.
    probabilities: &'a mut [f32],
    /// dS times the logit weights, `[rows, columns]`.
    gradients: &'a mut [f32],
}

impl Tile<'_> {
    /// Computes the two matrices of the tile.
    fn fill(&mut self, corrections: &[f32], wanted: [bool; 3]) {
        let (head, columns) = (self.head, &self.columns);
        head.logits(&self.rows, columns, self.probabilities);
        if wanted[0] || wanted[1] {
            head.inner_products(self.saved.gradient, &self.rows, head.v, columns, 1.0, self.gradients);
        }
        let tiles = self.probabilities.chunks_exact_mut(columns.len()).zip(self.gradients.chunks_exact_mut(columns.len()));
        for ((row, (probabilities, gradients)), &correction) in self.rows.clone().zip(tiles).zip(corrections) {
            let RowStatistics { maximum, inverse_sum } = self.saved.statistics[row];
            let (visible, hidden) = probabilities.split_at_mut(head.visible(row, columns));
            parallel::widest(
                #[inline(always)]
                || row::probabilities(visible, maximum, inverse_sum),
            );
            hidden.fill(0.0);
            head.weigh_probabilities(row, columns, gradients);
            gradients.iter_mut().zip(&*probabilities).for_each(|(gradient, probability)| *gradient = probability * (*gradient - correction));
            head.weigh_logit_gradients(row, columns, gradients);
            head.weigh_probabilities(row, columns, probabilities);
        }
    }

    /// Adds the tile's shares to the gradients of q, k and v.
    fn add(&self, to_q: &mut [&mut [f32]], sums: &mut ColumnGradients, wanted: [bool; 3]) {
        let (head, width, stride) = (self.head, self.head.geometry.width, self.head.geometry.channels());
        let scale = head.geometry.scale();
        if wanted[0] {
            let left = AlongDepth { data: &*self.gradients, lane_stride: self.columns.len(), depth_stride: 1 };
            let right = AcrossDepth { data: &head.k[self.columns.start * stride..], depth_stride: stride };
            let finish = Finish { scale, accumulate: self.columns.start > 0, ..Finish::default() };
            product_on_this_thread(&left, &right, self.columns.len(), to_q, &finish);
        }
        let add = |tile: &[f32], rows: &[f32], scale: f32, sums: &mut [f32]| {
            let sizes = [self.columns.len(), width, self.rows.len()];
            let rows = MatrixRef { data: &rows[self.rows.start * stride..], row_stride: stride, column_stride: 1 };
            let out = MatrixMut { data: &mut sums[self.columns.start * width..], row_stride: width };
            let finish = Finish { scale, accumulate: true, ..Finish::default() };
            gemm(sizes, MatrixRef::row_major(tile, self.columns.len()).transposed(), rows, out, &finish);
        };
        if wanted[1] {
            add(self.gradients, head.q, scale, &mut sums.to_k);
        }
        if wanted[2] {
            add(self.probabilities, self.saved.gradient, 1.0, &mut sums.to_v);
        }
    }
}

/// Adds the parts of each head in order and lays the heads side by side: `[batch, columns, channels]`.
fn gather(inputs: &Inputs, parts: &[ColumnGradients], pick: fn(&ColumnGradients) -> &Buffer<f32>) -> Buffer<f32> {
    let geometry = inputs.geometry;
    let (channels, width) = (geometry.channels(), geometry.width);
    let per_sample = parts.len() / geometry.batch.max(1);
    let mut output = Buffer::zeros(inputs.k.len());
    parallel::chunks(&mut output, parallel::rows_per_task(channels) * channels, |first, output| {
        for (index, output) in output.chunks_mut(channels).enumerate() {
            let (sample, column) = ((first / channels + index) / geometry.columns, (first / channels + index) % geometry.columns);
            for (task, part) in parts[sample * per_sample..(sample + 1) * per_sample].iter().enumerate() {
                let output = &mut output[task % geometry.heads * width..][..width];
                output.iter_mut().zip(&pick(part)[column * width..]).for_each(|(sum, share)| *sum += share);
            }
        }
    });
    output
}
