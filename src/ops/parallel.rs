//! Work for the thread pool, cut at places that do not depend on the number of threads, so that results do not either.

use rayon::prelude::*;

/// Elements that one task handles: 64 KiB of f32, small beside the second-level cache, large beside the cost of handing a task over.
pub(crate) const TASK_ELEMENTS: usize = 1 << 14;

/// How many rows of `width` elements one task handles: at least one.
pub(crate) fn rows_per_task(width: usize) -> usize {
    (TASK_ELEMENTS / width.max(1)).max(1)
}

/// Calls `f(first, chunk)` for each run of `length` elements of `output` (the last may be shorter); `first` is the index of its first element.
pub(crate) fn chunks<T: Send>(output: &mut [T], length: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
    let length = length.max(1);
    if output.len() <= length {
        if !output.is_empty() {
            f(0, output);
        }
        return;
    }
    output.par_chunks_mut(length).enumerate().for_each(|(index, chunk)| f(index * length, chunk));
}

/// The results of `f(0) .. f(count - 1)` in order.
pub(crate) fn collect<T: Send>(count: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    match count {
        0 | 1 => (0..count).map(f).collect(),
        _ => (0..count).into_par_iter().map(f).collect(),
    }
}
