//! One block of tiles: input points, products, outputs.

use std::array::from_fn;
use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::transform::{Input, Output, both_axes};
use super::{Convolution, POINTS, TILE};
use crate::device::cpu::Buffer;
use crate::device::cpu::gemm::Finish;
use crate::device::cpu::gemm::kernel::{self, COLUMNS, Isa, LeftOrder, Panels, ROWS, Target};
use crate::device::cpu::lanes::{LANES, Lanes, prefetch};

/// Most channels whose weight points are held at a time: 36 x 128 x 32 elements are 576 KiB of the second-level cache.
const MOST_CHANNELS: usize = 128;
pub(super) const PLANES: usize = POINTS * POINTS;
/// Elements of a cache line.
const LINE: usize = 16;
/// What planes are lengthened by, so that the same element of all planes does not fall into the same cache set.
pub(super) const SKEW: usize = 16;

thread_local! {
    /// The input's points of a block, the weight's points and the sums of one panel, kept from call to call.
    static SCRATCH: [RefCell<Vec<f32>>; 3] = const { [const { RefCell::new(Vec::new()) }; 3] };
}

/// A buffer of this thread, at least `length` long.
pub(super) fn with_scratch<R>(index: usize, length: usize, run: impl FnOnce(&mut [f32]) -> R) -> R {
    // Taken out while in use: a thread that waits inside may be given another block to work on.
    let mut buffer = SCRATCH.with(|scratch| scratch[index].take());
    buffer.resize(buffer.len().max(length), 0.0);
    let result = run(&mut buffer[..length]);
    SCRATCH.with(|scratch| *scratch[index].borrow_mut() = buffer);
    result
}

/// How the input's points of a block lie in memory: groups of up to [`ROWS`] tiles, in each 36 planes of `rows` x `stride`.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    tiles: usize,
    /// Tiles of a group; the last may have fewer.
    rows: usize,
    /// Distance of tiles: an odd number of cache lines.
    pub(super) stride: usize,
    pub(super) plane: usize,
}

impl Layout {
    fn new(tiles: usize, channels: usize) -> Self {
        Self::with_rows(tiles, tiles.div_ceil(tiles.div_ceil(ROWS)), channels)
    }

    /// All tiles in one group.
    pub(super) fn ungrouped(tiles: usize, channels: usize) -> Self {
        Self::with_rows(tiles, tiles, channels)
    }

    fn with_rows(tiles: usize, rows: usize, channels: usize) -> Self {
        let stride = (channels.div_ceil(LINE) | 1) * LINE;
        Self { tiles, rows, stride, plane: rows * stride + SKEW }
    }

    fn groups(&self) -> usize {
        self.tiles.div_ceil(self.rows)
    }

    fn tiles_of(&self, group: usize) -> Range<usize> {
        group * self.rows..self.tiles.min((group + 1) * self.rows)
    }
}

/// How the channels are divided for the weight's points; it decides the order of summation, so the number of channels alone decides it.
struct Chunks {
    channels: usize,
    chunk: usize,
    count: usize,
    plane: usize,
}

impl Chunks {
    fn new(channels: usize) -> Self {
        let chunk = channels.div_ceil(channels.div_ceil(MOST_CHANNELS));
        Self { channels, chunk, count: channels.div_ceil(chunk), plane: chunk * COLUMNS + SKEW }
    }

    fn range(&self, index: usize) -> Range<usize> {
        index * self.chunk..self.channels.min((index + 1) * self.chunk)
    }

    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.count).map(|index| self.range(index))
    }

    /// Elements of the points of one chunk of one panel.
    fn length(&self) -> usize {
        PLANES * self.plane
    }
}

/// What one call computes.
pub(super) struct Block<'a> {
    /// Rows of tiles, counted over the whole batch.
    pub(super) tile_rows: Range<usize>,
    /// Most tiles whose points are held at a time.
    pub(super) most_tiles: usize,
    /// All of the weight's points, when they were computed before.
    pub(super) weight_points: Option<&'a [f32]>,
    /// Whether to use all threads.
    pub(super) parallel: bool,
}

impl Convolution<'_> {
    /// Computes one block; `pixels` is exactly its part of the output.
    pub(super) fn block(&self, block: &Block, pixels: &mut [f32], finish: &Finish) {
        let count = pixels.len() / self.outputs;
        let mut panels: Vec<Vec<&mut [f32]>> = (0..self.outputs.div_ceil(COLUMNS)).map(|_| Vec::with_capacity(count)).collect();
        for pixel in pixels.chunks_mut(self.outputs) {
            panels.iter_mut().zip(pixel.chunks_mut(COLUMNS)).for_each(|(panel, part)| panel.push(part));
        }
        let [start, end] = [block.tile_rows.start, block.tile_rows.end].map(|row| row * self.tiles_across());
        let step = (end - start).div_ceil((end - start).div_ceil(block.most_tiles));
        for first in (start..end).step_by(step) {
            self.tiles(first..end.min(first + step), block, &mut panels);
        }
        let first_pixel = self.first_pixel(block.tile_rows.start);
        for (index, rows) in panels.iter_mut().enumerate() {
            let used = rows.first().map_or(0, |row| row.len());
            rows.iter_mut().for_each(|row| finish.scale_stored(row));
            finish.add_terms(rows, 0..used, [first_pixel, index * COLUMNS], self.outputs);
        }
    }

    /// Computes some tiles of a block (counted over the whole batch); `panels[panel][pixel]` are parts of all of the block's pixels.
    fn tiles(&self, tiles: Range<usize>, block: &Block, panels: &mut [Vec<&mut [f32]>]) {
        let layout = Layout::new(tiles.len(), self.pixels.channels);
        let group_length = PLANES * layout.plane;
        with_scratch(0, layout.groups() * group_length, |points| {
            let zeros = vec![0.0; self.pixels.channels];
            let fill = |(group, points): (usize, &mut [f32])| {
                let group = layout.tiles_of(group);
                self.input_points(&layout, tiles.start + group.start..tiles.start + group.end, 0..self.pixels.channels, &zeros, points);
            };
            let panel = |points: &[f32], (index, rows): (usize, &mut Vec<&mut [f32]>)| {
                self.panel((&layout, points), index, tiles.start, block, rows);
            };
            if block.parallel {
                points.par_chunks_mut(group_length).enumerate().for_each(fill);
                panels.par_iter_mut().with_max_len(1).enumerate().for_each(|item| panel(points, item));
            } else {
                points.chunks_mut(group_length).enumerate().for_each(fill);
                panels.iter_mut().enumerate().for_each(|item| panel(points, item));
            }
        });
    }

    /// The points of some channels of the tiles of one group (counted over the whole batch).
    pub(super) fn input_points(&self, layout: &Layout, tiles: Range<usize>, channels: Range<usize>, zeros: &[f32], points: &mut [f32]) {
        for (row, tile) in tiles.enumerate() {
            // Of one image after the other: what the lanes of the first write beyond its last channel, the second's overwrite.
            let mut start = channels.start;
            while start < channels.end {
                let (which, end) = self.pixels.image_of(start);
                let part = start..end.min(channels.end);
                let pixels = self.pixels_of(tile, which, &part, zeros);
                let ahead = TILE * self.pixels.channels_of(which);
                for channel in (0..part.len()).step_by(LANES) {
                    let at = row * layout.stride + start - channels.start + channel;
                    if channel % LINE == 0 {
                        // The pixels that the next tile has and this one has not.
                        pixels.iter().flat_map(|pixels| &pixels[2..]).for_each(|pixel| prefetch(pixel, ahead + channel));
                    }
                    both_axes::<Input>(
                        |y, x| Lanes::load(&pixels[y][x][channel..]),
                        |i, j, value| store_point(points, layout.plane, at, [i, j], value),
                    );
                }
                start = part.end;
            }
        }
    }

    /// Some channels of image `which` at a tile's 6 x 6 input pixels, `zeros` outside the image.
    fn pixels_of<'p>(&'p self, tile: usize, which: usize, channels: &Range<usize>, zeros: &'p [f32]) -> [[&'p [f32]; POINTS]; POINTS] {
        let (row, column) = (tile / self.tiles_across(), tile % self.tiles_across());
        let (image, row) = (row / self.tile_rows(), row % self.tile_rows());
        let inside = |tile: usize, offset: usize, axis: usize| {
            (tile * TILE + offset).checked_sub(self.before[axis]).filter(|&position| position < self.pixels.size[axis])
        };
        from_fn(|y| {
            from_fn(|x| match (inside(row, y, 0), inside(column, x, 1)) {
                (Some(y), Some(x)) => &self.pixels.at(which, image, [y, x], channels.start)[..channels.len()],
                _ => &zeros[..channels.len()],
            })
        })
    }

    /// Products and outputs of some tiles in the output channels of one panel: `rows` are their parts of the block's pixels.
    fn panel(&self, input: (&Layout, &[f32]), panel: usize, first_tile: usize, block: &Block, rows: &mut [&mut [f32]]) {
        let (layout, points) = input;
        let chunks = Chunks::new(self.pixels.channels);
        let sum_plane = layout.tiles * COLUMNS + SKEW;
        let first_pixel = self.first_pixel(block.tile_rows.start);
        let scratch = if block.weight_points.is_some() { 0 } else { chunks.length() };
        with_scratch(1, scratch, |scratch| {
            with_scratch(2, PLANES * sum_plane, |sums| {
                for (index, channels) in chunks.ranges().enumerate() {
                    let weights = match block.weight_points {
                        Some(all) => &all[(panel * chunks.count + index) * chunks.length()..][..chunks.length()],
                        None => {
                            self.weight_points_of(panel, &chunks, index, scratch);
                            &*scratch
                        }
                    };
                    for (plane, sums) in sums.chunks_mut(sum_plane).enumerate() {
                        let right = &weights[plane * chunks.plane..][..channels.len() * COLUMNS];
                        multiply(layout, points, plane, channels.clone(), right, sums);
                    }
                }
                self.outputs_of(first_tile..first_tile + layout.tiles, sums, sum_plane, first_pixel, rows);
            });
        });
    }

    /// The weight's points of one panel of outputs and one chunk of channels.
    fn weight_points_of(&self, panel: usize, chunks: &Chunks, index: usize, points: &mut [f32]) {
        let first = panel * COLUMNS;
        let channels = chunks.range(index);
        self.weight.transform(channels.start, channels.len(), first, COLUMNS.min(self.outputs - first), points, chunks.plane);
    }

    /// The weight's points of all panels and chunks.
    pub(super) fn weight_points(&self) -> Buffer<f32> {
        let chunks = Chunks::new(self.pixels.channels);
        let mut points = Buffer::scratch(self.outputs.div_ceil(COLUMNS) * chunks.count * chunks.length());
        points.par_chunks_mut(chunks.length()).enumerate().for_each(|(index, points)| {
            self.weight_points_of(index / chunks.count, &chunks, index % chunks.count, points);
        });
        points
    }

    /// Turns the sums of some tiles into pixels; `rows` begin with pixel `first_pixel`.
    fn outputs_of(&self, tiles: Range<usize>, sums: &[f32], plane: usize, first_pixel: usize, rows: &mut [&mut [f32]]) {
        for (index, tile) in tiles.enumerate() {
            let (tile_row, column) = (tile / self.tiles_across(), tile % self.tiles_across());
            let corner = self.first_pixel(tile_row) - first_pixel + column * TILE;
            let height = TILE.min(self.output_size[0] - tile_row % self.tile_rows() * TILE);
            let width = TILE.min(self.output_size[1] - column * TILE);
            let used = rows[corner].len();
            for part in (0..used).step_by(LANES) {
                let at = index * COLUMNS + part;
                let sum = |i: usize, j: usize| Lanes::load(&sums[(i * POINTS + j) * plane + at..][..LANES]);
                both_axes::<Output>(sum, |y, x, value| {
                    if y < height && x < width {
                        value.store(&mut rows[corner + y * self.output_size[1] + x][part..used.min(part + LANES)]);
                    }
                });
            }
        }
    }
}

/// Stores one of the 36 points: element `at` of its plane.
#[inline(always)]
pub(super) fn store_point(points: &mut [f32], plane: usize, at: usize, [i, j]: [usize; 2], value: Lanes) {
    value.store(&mut points[(i * POINTS + j) * plane + at..][..LANES]);
}

/// Adds the products of some channels at one point to the sums of all tiles.
fn multiply(layout: &Layout, points: &[f32], plane: usize, channels: Range<usize>, right: &[f32], sums: &mut [f32]) {
    let isa = Isa::detect();
    for (group, points) in points.chunks(PLANES * layout.plane).enumerate() {
        let tiles = layout.tiles_of(group);
        let mut pieces = sums[tiles.start * COLUMNS..tiles.end * COLUMNS].chunks_mut(COLUMNS);
        let mut rows: [&mut [f32]; ROWS] = from_fn(|_| pieces.next().unwrap_or_default());
        let left = &points[plane * layout.plane + channels.start..(plane + 1) * layout.plane];
        let panels = Panels { left, order: LeftOrder::ByRow, stride: layout.stride, right, depth: channels.len() };
        let mut target = Target { rows: &mut rows[..tiles.len()], offset: 0, columns: COLUMNS, scale: 1.0, add: channels.start > 0 };
        kernel::multiply(isa, &panels, &mut target);
    }
}
