//! Attention in tiles (Dao et al., FlashAttention, 2022): a tile of logits lives in the second-level cache and the whole matrix never exists.
//! Forward keeps each row's maximum and sum; backward computes the tiles again from them.
//!
//! A row's result depends on its own query alone: the matrix products see to that inside a tile, and tiles of columns follow each other in a fixed
//! order.

mod backward;
mod forward;
mod row;

pub(in crate::ops) use backward::backward;
pub(in crate::ops) use forward::forward;

use std::ops::Range;

use super::Geometry;
use crate::device::cpu::gemm::{Finish, MatrixMut, MatrixRef, gemm};

/// Query rows of a tile: each packs its keys and values anew, which this many rows pay for.
const ROW_TILE: usize = 256;
/// Columns of a tile: one block of the matrix product's depth.
const COLUMN_TILE: usize = 256;

/// All inputs of an attention.
pub(in crate::ops) struct Inputs<'a> {
    pub geometry: Geometry,
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub weights: Option<Weights<'a>>,
}

/// Weights of positions on the columns that are marked (not 0).
#[derive(Clone, Copy)]
pub(in crate::ops) struct Weights<'a> {
    /// `[batch, columns]`.
    pub columns: &'a [f32],
    /// `[batch, rows]`.
    pub probability: Option<&'a [f32]>,
    /// `[batch, rows]`.
    pub logit: Option<&'a [f32]>,
}

/// What a row of logits is turned into probabilities with.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct RowStatistics {
    /// The largest logit.
    maximum: f32,
    /// 1 / sum of e^(logit - maximum).
    inverse_sum: f32,
}

/// The inputs from the first element of one head of one sample on; positions are `geometry.channels()` apart.
struct Head<'a> {
    geometry: Geometry,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    weights: Option<Weights<'a>>,
}

impl<'a> Inputs<'a> {
    fn head(&self, sample: usize, head: usize) -> Head<'a> {
        let Geometry { rows, columns, width, .. } = self.geometry;
        let from = |elements: &'a [f32], positions: usize| &elements[sample * positions * self.geometry.channels() + head * width..];
        let of_sample = |elements: &'a [f32], positions: usize| &elements[sample * positions..(sample + 1) * positions];
        let weights = self.weights.map(|weights| Weights {
            columns: of_sample(weights.columns, columns),
            probability: weights.probability.map(|weights| of_sample(weights, rows)),
            logit: weights.logit.map(|weights| of_sample(weights, rows)),
        });
        Head { geometry: self.geometry, q: from(self.q, rows), k: from(self.k, columns), v: from(self.v, columns), weights }
    }
}

impl Head<'_> {
    /// The tiles of columns that any of the rows up to `last` sees.
    fn column_tiles(&self, last: usize) -> impl Iterator<Item = Range<usize>> {
        let end = if self.geometry.causal { last + 1 } else { self.geometry.columns };
        (0..end).step_by(COLUMN_TILE).map(move |first| first..end.min(first + COLUMN_TILE))
    }

    /// How many columns of a tile a row sees; the first ones.
    fn visible(&self, row: usize, columns: &Range<usize>) -> usize {
        if self.geometry.causal { (row + 1).saturating_sub(columns.start).min(columns.len()) } else { columns.len() }
    }

    /// `out [rows, columns] = factor · left · rightᵀ` for rows of one of q, k, v or alike.
    fn inner_products(&self, left: &[f32], rows: &Range<usize>, right: &[f32], columns: &Range<usize>, factor: f32, out: &mut [f32]) {
        let stride = self.geometry.channels();
        let left = MatrixRef { data: &left[rows.start * stride..], row_stride: stride, column_stride: 1 };
        let right = MatrixRef { data: &right[columns.start * stride..], row_stride: 1, column_stride: stride };
        let sizes = [rows.len(), columns.len(), self.geometry.width];
        gemm(sizes, left, right, MatrixMut { data: out, row_stride: columns.len() }, &Finish { scale: factor, ..Finish::default() });
    }

    /// The scaled and, where asked for, weighted logits of a tile.
    fn logits(&self, rows: &Range<usize>, columns: &Range<usize>, out: &mut [f32]) {
        self.inner_products(self.q, rows, self.k, columns, self.geometry.scale(), out);
        let Some(Weights { columns: marks, logit: Some(weights), .. }) = self.weights else { return };
        for (row, logits) in rows.clone().zip(out.chunks_exact_mut(columns.len())) {
            row::weigh(logits, &marks[columns.clone()], weights[row]);
        }
    }

    /// Multiplies a row's tile of probabilities by its weight on marked columns.
    fn weigh_probabilities(&self, row: usize, columns: &Range<usize>, probabilities: &mut [f32]) {
        if let Some(Weights { columns: marks, probability: Some(weights), .. }) = self.weights {
            row::weigh(probabilities, &marks[columns.clone()], weights[row]);
        }
    }

    /// Multiplies a row's tile of gradients of logits by its weight on marked columns.
    fn weigh_logit_gradients(&self, row: usize, columns: &Range<usize>, gradients: &mut [f32]) {
        if let Some(Weights { columns: marks, logit: Some(weights), .. }) = self.weights {
            row::weigh(gradients, &marks[columns.clone()], weights[row]);
        }
    }
}

/// Rows of one head of one sample, each a slice of a larger tensor.
struct HeadRows<'a> {
    sample: usize,
    head: usize,
    first: usize,
    rows: Vec<&'a mut [f32]>,
}

/// Divides `[batch, positions, heads · width]` among tasks: for each sample and head, runs of `run` positions.
fn head_rows(elements: &mut [f32], geometry: Geometry, positions: usize, run: usize) -> Vec<HeadRows<'_>> {
    let Geometry { heads, width, .. } = geometry;
    let mut tasks: Vec<HeadRows> = Vec::new();
    for (sample, elements) in elements.chunks_mut((positions * geometry.channels()).max(1)).enumerate() {
        for (run_index, elements) in elements.chunks_mut(run * geometry.channels()).enumerate() {
            let start = tasks.len();
            let empty = |head| HeadRows { sample, head, first: run_index * run, rows: Vec::with_capacity(run) };
            tasks.extend((0..heads).map(empty));
            for position in elements.chunks_mut(geometry.channels()) {
                for (task, slice) in tasks[start..].iter_mut().zip(position.chunks_mut(width)) {
                    task.rows.push(slice);
                }
            }
        }
    }
    tasks
}
