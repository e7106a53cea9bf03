//! Tiles of logits to rows of the output, with a running maximum and sum.

use rayon::prelude::*;

use super::{COLUMN_TILE, Head, HeadRows, Inputs, ROW_TILE, RowStatistics, head_rows};
use crate::device::cpu::Buffer;
use crate::device::cpu::gemm::{AcrossDepth, AlongDepth, Finish, product_on_this_thread};
use crate::ops::parallel;
use crate::ops::softmax::cpu as row;

/// The output `[batch, rows, channels]` and, `[batch, heads, rows]` in the order of tasks, what backward needs to know of each row.
pub(in crate::ops) fn forward(inputs: &Inputs) -> (Buffer<f32>, Vec<RowStatistics>) {
    let geometry = inputs.geometry;
    let mut output = Buffer::scratch(inputs.q.len());
    let tasks = head_rows(&mut output, geometry, geometry.rows, ROW_TILE);
    let places: Vec<usize> = tasks.iter().map(|task| (task.sample * geometry.heads + task.head) * geometry.rows + task.first).collect();
    let tiles: Vec<Vec<RowStatistics>> =
        tasks.into_par_iter().with_max_len(1).map(|task| forward_tile(&inputs.head(task.sample, task.head), task)).collect();
    let mut statistics = vec![RowStatistics { maximum: 0.0, inverse_sum: 0.0 }; geometry.batch * geometry.heads * geometry.rows];
    for (place, tile) in places.into_iter().zip(tiles) {
        statistics[place..place + tile.len()].copy_from_slice(&tile);
    }
    (output, statistics)
}

fn forward_tile(head: &Head, task: HeadRows) -> Vec<RowStatistics> {
    let HeadRows { first, rows: mut output, .. } = task;
    let rows = first..first + output.len();
    let stride = head.geometry.channels();
    let mut logits = Buffer::scratch(rows.len() * COLUMN_TILE.min(head.geometry.columns));
    let (mut maxima, mut sums) = (vec![f32::NEG_INFINITY; rows.len()], vec![0.0f32; rows.len()]);
    for columns in head.column_tiles(rows.end - 1) {
        head.logits(&rows, &columns, &mut logits);
        for (index, logits) in logits.chunks_exact_mut(columns.len()).take(rows.len()).enumerate() {
            let (visible, hidden) = logits.split_at_mut(head.visible(first + index, &columns));
            hidden.fill(0.0);
            let (maximum, sum) = parallel::widest(
                #[inline(always)]
                || {
                    let maximum = maxima[index].max(row::maximum(visible));
                    (maximum, row::exponentials(visible, maximum))
                },
            );
            if columns.start > 0 && maximum > maxima[index] {
                let correction = (maxima[index] - maximum).exp();
                sums[index] *= correction;
                row::scale(output[index], correction);
            }
            maxima[index] = maximum;
            sums[index] += sum;
            head.weigh_probabilities(first + index, &columns, logits);
        }
        let probabilities = AlongDepth { data: &logits[..], lane_stride: columns.len(), depth_stride: 1 };
        let values = AcrossDepth { data: &head.v[columns.start * stride..], depth_stride: stride };
        let finish = Finish { accumulate: columns.start > 0, ..Finish::default() };
        product_on_this_thread(&probabilities, &values, columns.len(), &mut output, &finish);
    }
    let statistics = maxima.into_iter().zip(sums).map(|(maximum, sum)| RowStatistics { maximum, inverse_sum: 1.0 / sum });
    let statistics: Vec<RowStatistics> = statistics.collect();
    output.iter_mut().zip(&statistics).for_each(|(output, row)| row::scale(output, row.inverse_sum));
    statistics
}
