//! Work for the thread pool, cut at places that do not depend on the number of threads, so that results do not either.

use pulp::Arch;
use rayon::prelude::*;

/// Elements that one task handles: 64 KiB of f32, small beside the second-level cache, large beside the cost of handing a task over.
pub(crate) const TASK_ELEMENTS: usize = 1 << 14;

/// Calls `f`, compiled for the widest vectors that this machine has besides those that the program is compiled for. `f` and what it calls have to
/// be inlined (`#[inline(always)]`, on closures too), or they stay what they are. The results are the same bits: sums keep their own number of
/// partial sums, whatever an instruction takes.
#[inline(always)]
pub(crate) fn widest<R>(f: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(f)
}

/// How many rows of `width` elements one task handles: at least one.
pub(crate) fn rows_per_task(width: usize) -> usize {
    (TASK_ELEMENTS / width.max(1)).max(1)
}

/// Calls `f(first, chunk)` for each run of `length` elements of `output` (the last may be shorter); `first` is the index of its first element.
/// Mark `f` with `#[inline(always)]` to have it compiled for the widest vectors too.
pub(crate) fn chunks<T: Send>(output: &mut [T], length: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
    let length = length.max(1);
    let run = |first: usize, chunk: &mut [T]| {
        widest(
            #[inline(always)]
            || f(first, chunk),
        )
    };
    if output.is_empty() {
        return;
    }
    if output.len() <= length {
        return run(0, output);
    }
    output.par_chunks_mut(length).enumerate().for_each(|(index, chunk)| run(index * length, chunk));
}

/// The results of `f(0) .. f(count - 1)` in order; `f` as in [`chunks`].
pub(crate) fn collect<T: Send>(count: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    let run = |index: usize| {
        widest(
            #[inline(always)]
            || f(index),
        )
    };
    match count {
        0 | 1 => (0..count).map(run).collect(),
        _ => (0..count).into_par_iter().map(run).collect(),
    }
}
