//! The loops around the kernel: which tiles, in which order, on which thread.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::kernel::{self, COLUMNS, DEPTH, Isa, Panels, ROWS, Target};
use super::operand::{LEFT_PANEL, Operand, pack_left, pack_right};
use super::output::Finish;
use crate::device::cpu::Buffer;

/// Most columns that are packed at once: 256 x 384 elements take 384 KiB of the second-level cache.
const MOST_COLUMNS: usize = 384;
/// Fewest rows of a thread's part, so that packing the right factor pays.
const FEWEST_ROWS: usize = 64;
/// Most rows that count as few.
const FEW_ROWS: usize = 64;
/// Most rows of a part whose rows lie one after another: their list stays in the innermost cache.
const MOST_ROWS: usize = 2048;
/// Parts for each thread: enough to even out a busy machine.
const PARTS_PER_THREAD: usize = 4;
/// Multiply-adds below which a second thread costs more than it saves.
const SMALL: usize = 1 << 17;

/// The product of two operands on all threads of the rayon pool: `rows[i][j] = finish(sum over d of left(i, d) * right(j, d))`.
///
/// All rows have the same length, the number of columns. They may lie anywhere.
pub fn product<A: Operand, B: Operand>(left: &A, right: &B, depth: usize, rows: &mut [&mut [f32]], finish: &Finish) {
    let width = rows.first().map_or(0, |row| row.len());
    if B::ALONG_DEPTH && rows.len() <= FEW_ROWS && width >= 4 * FEW_ROWS && !finish.accumulate {
        return exchanged(left, right, depth, rows, finish);
    }
    let threads = rayon::current_num_threads();
    if threads == 1 || rows.len() * width * depth <= SMALL {
        return product_on_this_thread(left, right, depth, rows, finish);
    }
    let (row_part, column_part) = parts(rows.len(), width, threads);
    let mut tasks: Vec<(usize, usize, Vec<&mut [f32]>)> = Vec::new();
    for (index, group) in rows.chunks_mut(row_part).enumerate() {
        let first = tasks.len();
        for column in (0..width).step_by(column_part) {
            tasks.push((index * row_part, column, Vec::with_capacity(group.len())));
        }
        for row in group {
            for (task, part) in tasks[first..].iter_mut().zip(row.chunks_mut(column_part)) {
                task.2.push(part);
            }
        }
    }
    tasks.into_par_iter().with_max_len(1).for_each(|(row, column, mut rows)| {
        let columns = rows.first().map_or(0, |row| row.len());
        Part { left, right, depth, finish, row, column, width }.compute(&mut rows, 0..columns);
    });
}

/// [`product`] into rows of `width` elements that lie one after another. Where every task has whole rows, no list of all of them is made, which takes half
/// as much memory as a result of eight columns.
pub fn product_contiguous<A: Operand, B: Operand>(left: &A, right: &B, depth: usize, output: &mut [f32], width: usize, finish: &Finish) {
    if output.is_empty() {
        return;
    }
    let rows = output.len() / width;
    let (row_part, column_part) = parts(rows, width, rayon::current_num_threads());
    if rows <= MOST_ROWS || column_part < width {
        return product(left, right, depth, &mut output.chunks_mut(width).collect::<Vec<_>>(), finish);
    }
    let row_part = row_part.min(MOST_ROWS);
    output.par_chunks_mut(row_part * width).with_max_len(1).enumerate().for_each(|(index, rows)| {
        let mut rows: Vec<&mut [f32]> = rows.chunks_mut(width).collect();
        Part { left, right, depth, finish, row: index * row_part, column: 0, width }.compute(&mut rows, 0..width);
    });
}

/// [`product`] with its factors exchanged, for few rows: the right factor's lanes, which lie along the depth, would have to be transposed to be
/// packed, which costs as much as multiplying them with a few rows. As the left factor they are only copied. The sums are the same to the bit.
fn exchanged<A: Operand, B: Operand>(left: &A, right: &B, depth: usize, rows: &mut [&mut [f32]], finish: &Finish) {
    let height = rows.len();
    let width = rows.first().map_or(0, |row| row.len());
    let mut sums = Buffer::<f32>::scratch(height * width);
    let mut columns: Vec<&mut [f32]> = sums.chunks_mut(height.max(1)).collect();
    product(right, left, depth, &mut columns, &Finish { scale: finish.scale, ..Finish::default() });
    for first in (0..width).step_by(COLUMNS) {
        let end = width.min(first + COLUMNS);
        for (index, row) in rows.iter_mut().enumerate() {
            for (out, column) in row[first..end].iter_mut().zip(first..end) {
                *out = sums[column * height + index];
            }
        }
    }
    finish.add_terms(rows, 0..width, [0, 0], width);
}

/// [`product`] on the calling thread.
pub fn product_on_this_thread<A: Operand, B: Operand>(left: &A, right: &B, depth: usize, rows: &mut [&mut [f32]], finish: &Finish) {
    let width = rows.first().map_or(0, |row| row.len());
    for column in (0..width).step_by(MOST_COLUMNS) {
        let columns = column..width.min(column + MOST_COLUMNS);
        Part { left, right, depth, finish, row: 0, column: 0, width }.compute(rows, columns);
    }
}

/// How many rows and columns one task gets.
fn parts(rows: usize, width: usize, threads: usize) -> (usize, usize) {
    let even = |size: usize, count: usize, unit: usize| size.div_ceil(count.max(1)).next_multiple_of(unit);
    let columns = even(width, width.div_ceil(MOST_COLUMNS), COLUMNS);
    let column_parts = width.div_ceil(columns);
    let wanted = (threads * PARTS_PER_THREAD).div_ceil(column_parts);
    let row_part = even(rows, wanted, 1).max(FEWEST_ROWS.min(rows));
    let row_parts = rows.div_ceil(row_part);
    if row_parts * column_parts >= threads * 2 {
        return (row_part, columns);
    }
    // Few rows: every part takes them all and the columns are divided instead.
    (row_part, even(width, (threads * PARTS_PER_THREAD).div_ceil(row_parts), COLUMNS).min(columns))
}

/// A rectangle of the output. `row` and `column` place element (0, 0) of the rows that [`Part::compute`] gets.
struct Part<'a, 'f, A, B> {
    left: &'a A,
    right: &'a B,
    depth: usize,
    finish: &'a Finish<'f>,
    row: usize,
    column: usize,
    width: usize,
}

thread_local! {
    /// The packed right factor, kept from call to call.
    static PACKED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl<A: Operand, B: Operand> Part<'_, '_, A, B> {
    /// Computes `columns` (counted from the first element of `rows`) of all rows.
    fn compute(&self, rows: &mut [&mut [f32]], columns: Range<usize>) {
        let isa = Isa::detect();
        PACKED.with_borrow_mut(|packed| {
            packed.resize(packed.len().max(columns.len().next_multiple_of(COLUMNS) * DEPTH), 0.0);
            // With no depth at all there is still a block to store.
            for step in (0..self.depth.max(1)).step_by(DEPTH) {
                let depth = DEPTH.min(self.depth - step);
                pack_right(self.right, self.column + columns.start, columns.len(), step, depth, packed);
                self.block(isa, step, depth, packed, rows, columns.clone());
            }
        });
    }

    /// Adds one block of the depth to all rows.
    fn block(&self, isa: Isa, step: usize, depth: usize, packed: &[f32], rows: &mut [&mut [f32]], columns: Range<usize>) {
        let mut left = [0.0; LEFT_PANEL];
        let add = self.finish.accumulate || step > 0;
        // Equal groups: 16 rows are 8 + 8, not 14 + 2.
        let group = rows.len().div_ceil(rows.len().div_ceil(ROWS));
        for (index, rows) in rows.chunks_mut(group).enumerate() {
            let row = self.row + index * group;
            let (order, stride) = pack_left(self.left, row, rows.len(), step, depth, &mut left);
            for (index, offset) in columns.clone().step_by(COLUMNS).enumerate() {
                let right = &packed[index * depth * COLUMNS..(index + 1) * depth * COLUMNS];
                let mut target = Target { rows, offset, columns: COLUMNS.min(columns.end - offset), scale: self.finish.scale, add };
                kernel::multiply(isa, &Panels { left: &left, order, stride, right, depth }, &mut target);
            }
            if step + depth == self.depth {
                self.finish.add_terms(rows, columns.clone(), [row, self.column], self.width);
            }
        }
    }
}
