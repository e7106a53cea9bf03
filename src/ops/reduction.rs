//! Sums in a fixed order: f32 inside short runs, f64 across them.

use crate::ops::parallel;

/// Independent partial sums inside a run, enough to fill the vector units.
const LANES: usize = 32;
/// Elements summed in f32 before a partial sum is widened.
const RUN: usize = 1024;

/// Sum of `f(i)` over a range, for one task.
#[inline(always)]
fn sum_run(first: usize, last: usize, f: &impl Fn(usize) -> f32) -> f64 {
    let mut lanes = [0.0f32; LANES];
    let whole = first + (last - first) / LANES * LANES;
    let mut index = first;
    while index < whole {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(index + lane);
        }
        index += LANES;
    }
    let mut total: f64 = lanes.iter().map(|&lane| f64::from(lane)).sum();
    for index in whole..last {
        total += f64::from(f(index));
    }
    total
}

/// Sum of all elements.
pub(crate) fn sum(x: &[f32]) -> f64 {
    let tasks = x.len().div_ceil(parallel::TASK_ELEMENTS);
    let partial = parallel::collect(
        tasks,
        #[inline(always)]
        |task| {
            let chunk = &x[task * parallel::TASK_ELEMENTS..x.len().min((task + 1) * parallel::TASK_ELEMENTS)];
            chunk.chunks(RUN).map(|run| sum_run(0, run.len(), &|i| run[i])).sum::<f64>()
        },
    );
    partial.iter().sum()
}

/// Sum of `f` over a short slice's elements (a row).
#[inline(always)]
pub(crate) fn row_sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut runs = row.chunks_exact(LANES);
    for run in &mut runs {
        for (lane, &value) in lanes.iter_mut().zip(run) {
            *lane += f(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(runs.remainder()) {
        *lane += f(value);
    }
    lane_sum(lanes)
}

/// Sum of `f` over pairs of elements of two rows of one length.
#[inline(always)]
pub(crate) fn row_sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (mut a_runs, mut b_runs) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in (&mut a_runs).zip(&mut b_runs) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(a, b);
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_runs.remainder()).zip(b_runs.remainder()) {
        *lane += f(a, b);
    }
    lane_sum(lanes)
}

/// Halves the lanes until one is left.
#[inline(always)]
fn lane_sum(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Sums over the rows of `rows` rows of `width` columns, one number per column. `add(row, sums)` adds row `row`'s share to the sums of its task.
pub(crate) fn column_sums(rows: usize, width: usize, add: impl Fn(usize, &mut [f32]) + Sync + Send) -> Vec<f64> {
    let per_task = parallel::rows_per_task(width).min(256);
    let partial = parallel::collect(
        rows.div_ceil(per_task),
        #[inline(always)]
        |task| {
            let mut sums = vec![0.0f32; width];
            for row in task * per_task..rows.min((task + 1) * per_task) {
                add(row, &mut sums);
            }
            sums
        },
    );
    let mut totals = vec![0.0f64; width];
    for sums in &partial {
        totals.iter_mut().zip(sums).for_each(|(total, &sum)| *total += f64::from(sum));
    }
    totals
}
