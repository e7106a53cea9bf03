//! The weight's gradient as the adjoint of the forward pass: at each of the 36 points, [in, tiles] · [tiles, out], summed over all tiles of all
//! images in order, then 36 sums become 3 x 3 weights.

use std::array::from_fn;
use std::ops::Range;

use rayon::prelude::*;

use super::block::{Layout, PLANES, SKEW, store_point, with_scratch};
use super::transform::{OutputAdjoint, WeightAdjoint, both_axes};
use super::{Convolution, POINTS, TILE};
use crate::device::cpu::Buffer;
use crate::device::cpu::gemm::kernel::{self, COLUMNS, Isa, LeftOrder, Panels, ROWS, Target};
use crate::device::cpu::lanes::{LANES, Lanes};

/// Most input and output channels of one task: their 36 x 64 x 64 sums take 576 KiB.
const MOST_CHANNELS: usize = 64;
/// Elements of the points of one block of tiles.
const BLOCK: usize = 80 << 10;
/// The sums of so many tasks can run side by side; below it the tiles are divided too.
const ENOUGH_TASKS: usize = 8;
/// Fewest tiles of a part: turning sums into weights must stay cheap beside them.
const FEWEST_TILES: usize = 256;

/// One rectangle of the weight's gradient over some of the tiles.
struct Task<'a> {
    tiles: Range<usize>,
    inputs: Range<usize>,
    outputs: Range<usize>,
    /// Rows (output, tap), each with the elements of `inputs`.
    rows: Vec<&'a mut [f32]>,
}

impl Convolution<'_> {
    /// The gradient `[outputs, 3, 3, channels]` for `gradient [batch, out height, out width, outputs]`.
    pub(in super::super) fn weight_gradient(&self, gradient: &[f32]) -> Buffer<f32> {
        let tiles = self.batch * self.tile_rows() * self.tiles_across();
        let inputs = even_part(self.pixels.channels, MOST_CHANNELS, LANES);
        let outputs = even_part(self.outputs, MOST_CHANNELS, COLUMNS);
        let rectangles = self.pixels.channels.div_ceil(inputs) * self.outputs.div_ceil(outputs);
        // Divided by sizes alone, so that the order of summation does not depend on the threads.
        let parts = (ENOUGH_TASKS / rectangles).min(tiles / FEWEST_TILES).max(1);
        let part = tiles.div_ceil(parts);
        let mut sums: Vec<Buffer<f32>> = (0..tiles.div_ceil(part)).map(|_| Buffer::scratch(self.outputs * 9 * self.pixels.channels)).collect();
        let mut tasks = Vec::new();
        for (index, sum) in sums.iter_mut().enumerate() {
            let tiles = index * part..tiles.min((index + 1) * part);
            self.divide(&tiles, inputs, outputs, sum, &mut tasks);
        }
        tasks.into_par_iter().with_max_len(1).for_each(|task| self.rectangle(gradient, task));
        let mut sums = sums.into_iter();
        let mut total = sums.next().unwrap_or_else(|| Buffer::zeros(self.outputs * 9 * self.pixels.channels));
        for sum in sums {
            total.iter_mut().zip(sum.iter()).for_each(|(total, term)| *total += term);
        }
        total
    }

    /// Adds the tasks that fill `sum`.
    fn divide<'s>(&self, tiles: &Range<usize>, inputs: usize, outputs: usize, sum: &'s mut [f32], tasks: &mut Vec<Task<'s>>) {
        for (index, rows) in sum.chunks_mut(outputs * 9 * self.pixels.channels).enumerate() {
            let first = tasks.len();
            let outputs = index * outputs..self.outputs.min((index + 1) * outputs);
            for start in (0..self.pixels.channels).step_by(inputs) {
                let inputs = start..self.pixels.channels.min(start + inputs);
                tasks.push(Task { tiles: tiles.clone(), inputs, outputs: outputs.clone(), rows: Vec::with_capacity(outputs.len() * 9) });
            }
            for row in rows.chunks_mut(self.pixels.channels) {
                tasks[first..].iter_mut().zip(row.chunks_mut(inputs)).for_each(|(task, part)| task.rows.push(part));
            }
        }
    }

    fn rectangle(&self, gradient: &[f32], mut task: Task) {
        let (inputs, panels) = (task.inputs.len(), task.outputs.len().div_ceil(COLUMNS));
        let block = (BLOCK / (PLANES / 2) / (inputs + panels * COLUMNS)).clamp(16, kernel::DEPTH);
        let sum_plane = inputs * COLUMNS + SKEW;
        let layout = Layout::ungrouped(block, inputs);
        let right_plane = block * COLUMNS + SKEW;
        let zeros = vec![0.0; self.pixels.channels.max(self.outputs)];
        with_scratch(0, PLANES * layout.plane, |left| {
            with_scratch(1, panels * PLANES * right_plane, |right| {
                with_scratch(2, panels * PLANES * sum_plane, |sums| {
                    for first in task.tiles.clone().step_by(block) {
                        let tiles = first..task.tiles.end.min(first + block);
                        self.input_points(&layout, tiles.clone(), task.inputs.clone(), &zeros, left);
                        for (panel, right) in right.chunks_mut(PLANES * right_plane).enumerate() {
                            let start = task.outputs.start + panel * COLUMNS;
                            let outputs = start..task.outputs.end.min(start + COLUMNS);
                            self.gradient_points(gradient, tiles.clone(), outputs, &zeros, right, right_plane);
                        }
                        let add = first > task.tiles.start;
                        for (index, sums) in sums.chunks_mut(sum_plane).enumerate() {
                            let left = &left[index % PLANES * layout.plane..];
                            let panels = Panels {
                                left: &left[..tiles.len() * layout.stride],
                                order: LeftOrder::ByStep,
                                stride: layout.stride,
                                right: &right[index * right_plane..][..tiles.len() * COLUMNS],
                                depth: tiles.len(),
                            };
                            accumulate(panels, inputs, add, sums);
                        }
                    }
                    store_weights(sums, sum_plane, inputs, &mut task.rows);
                });
            });
        });
    }

    /// The points of the output's gradient: point `p`, tile `t` at `points[p * plane + t * COLUMNS..]`.
    fn gradient_points(&self, gradient: &[f32], tiles: Range<usize>, outputs: Range<usize>, zeros: &[f32], points: &mut [f32], plane: usize) {
        let [height, width] = self.output_size;
        for (index, tile) in tiles.enumerate() {
            let (row, column) = (tile / self.tiles_across(), tile % self.tiles_across() * TILE);
            let (image, row) = (row / self.tile_rows(), row % self.tile_rows() * TILE);
            let pixels: [[&[f32]; TILE]; TILE] = from_fn(|y| {
                from_fn(|x| {
                    let pixel = ((image * height + row + y) * width + column + x) * self.outputs;
                    let inside = row + y < height && column + x < width;
                    if inside { &gradient[pixel + outputs.start..pixel + outputs.end] } else { &zeros[..outputs.len()] }
                })
            });
            for part in (0..COLUMNS).step_by(LANES) {
                let at = index * COLUMNS + part;
                let pixel = |y: usize, x: usize| Lanes::load(pixels[y][x].get(part..).unwrap_or_default());
                both_axes::<OutputAdjoint>(pixel, |i, j, value| store_point(points, plane, at, [i, j], value));
            }
        }
    }
}

/// The largest multiple of `unit` up to `most` that divides `size` into equal parts, or all of a small size.
fn even_part(size: usize, most: usize, unit: usize) -> usize {
    size.div_ceil(size.div_ceil(most)).next_multiple_of(unit)
}

/// Adds one block of tiles to the sums `[inputs][COLUMNS]` of one point.
fn accumulate(panels: Panels, inputs: usize, add: bool, sums: &mut [f32]) {
    let isa = Isa::detect();
    let group = inputs.div_ceil(inputs.div_ceil(ROWS));
    for first in (0..inputs).step_by(group) {
        let count = group.min(inputs - first);
        let mut pieces = sums[first * COLUMNS..(first + count) * COLUMNS].chunks_mut(COLUMNS);
        let mut rows: [&mut [f32]; ROWS] = from_fn(|_| pieces.next().unwrap_or_default());
        let mut target = Target { rows: &mut rows[..count], offset: 0, columns: COLUMNS, scale: 1.0, add };
        kernel::multiply(isa, &Panels { left: &panels.left[first..], ..panels }, &mut target);
    }
}

/// Turns the sums of all points into `rows` (output, tap) of `inputs` weights.
fn store_weights(sums: &[f32], plane: usize, inputs: usize, rows: &mut [&mut [f32]]) {
    for (panel, rows) in sums.chunks(PLANES * plane).zip(rows.chunks_mut(COLUMNS * 9)) {
        for (part, rows) in rows.chunks_mut(LANES * 9).enumerate() {
            for first in (0..inputs).step_by(LANES) {
                let end = inputs.min(first + LANES);
                // [tap][input] of eight outputs, then [tap][output] of eight inputs.
                let mut taps = [[Lanes::splat(0.0); LANES]; 9];
                for input in first..end {
                    let at = input * COLUMNS + part * LANES;
                    let sum = |i: usize, j: usize| Lanes::load(&panel[(i * POINTS + j) * plane + at..][..LANES]);
                    both_axes::<WeightAdjoint>(sum, |y, x, value| taps[y * 3 + x][input - first] = value);
                }
                for (tap, values) in taps.into_iter().enumerate() {
                    for (output, value) in rows.chunks_mut(9).zip(Lanes::transpose(values)) {
                        value.store(&mut output[tap][first..end]);
                    }
                }
            }
        }
    }
}
