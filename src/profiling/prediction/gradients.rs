//! How long the kernels behind an op's gradient take that are no products: those of attention and group normalisation.

use super::kernels::{BYTES, Model, Predicted, Work};
use super::plan::{Attention, GroupNorm};

/// Rows of a block's tile, and its threads.
const TILE: usize = 64;
const THREADS: usize = 128;

impl Model<'_> {
    /// A correction for each row, the queries' gradient, the keys' and values' in one kernel. Each of the two computes the probabilities and their gradient
    /// again for every tile of 64.
    pub(super) fn attention_gradients(&self, Attention { rows, columns, heads, width }: Attention, to_queries: bool) -> Vec<Predicted> {
        let heads_of_all = heads * self.batch;
        let of_rows = BYTES * (rows * width * heads_of_all) as f64;
        let of_columns = BYTES * (columns * width * heads_of_all) as f64;
        let logits = (rows.next_multiple_of(TILE) * columns.next_multiple_of(TILE)) as f64 * heads_of_all as f64;
        // Tiles of `own` vectors, by which all `others` pass, with so many products.
        let passing = |entry: &str, own: usize, others: usize, products: f64, bytes: f64| {
            let blocks = own.div_ceil(TILE) * heads_of_all;
            let at_a_time = if width == 160 && products > 3.0 { 16 } else { 32 };
            let work = Work {
                blocks: blocks as f64,
                threads: THREADS,
                shared: (2 * TILE + 4 * at_a_time) * (width.next_multiple_of(16) + 8) * 2,
                operations: 2.0 * products * logits * width.next_multiple_of(16) as f64,
                exponentials: logits,
                bytes,
                cached: 2.0 * BYTES * (blocks * others * width) as f64,
                asynchronous: true,
                ..Work::default()
            };
            self.predicted(&format!("attention_to_{entry}_{width}"), &work)
        };
        let corrections = self.moving("attention_corrections", rows.div_ceil(4) * heads_of_all, 2.0 * of_rows);
        let q = to_queries.then(|| passing("q", rows, columns, 3.0, 3.0 * of_rows + 2.0 * of_columns));
        let k_v = passing("k_v", columns, rows, 4.0, 2.0 * of_rows + 4.0 * of_columns);
        [Some(corrections), q, Some(k_v)].into_iter().flatten().collect()
    }

    /// Sums of each channel over runs of positions, of each group, and the gradient: the input and the output's gradient are read twice.
    pub(super) fn group_norm_gradient(&self, GroupNorm { positions, channels, groups }: GroupNorm) -> Vec<Predicted> {
        let once = BYTES * (positions * channels * self.batch) as f64;
        let runs = positions.div_ceil(32) * self.batch;
        let sums = (8 * channels * runs) as f64;
        vec![
            self.moving("group_norm_gradient", runs, 3.0 * once),
            self.moving("group_norm_gradient_sums", runs, 2.0 * once + sums),
            self.moving("group_norm_gradient_groups", groups * self.batch, sums),
        ]
    }
}
