//! Where the factors of a product come from: anything that can copy runs of its elements. A convolution's input is one, without ever existing as a
//! matrix.

use super::kernel::{COLUMNS, DEPTH, LeftOrder, ROWS};
use crate::device::cpu::lanes::{LANES, Lanes};

/// Distance of the rows of a left panel that is packed row by row: an odd number of cache lines.
const ROW_STRIDE: usize = DEPTH + 16;
/// Distance of the depth steps of a left panel that is packed step by step.
const STEP_STRIDE: usize = 16;
/// Elements of a left panel in either order.
pub(super) const LEFT_PANEL: usize = if ROWS * ROW_STRIDE > DEPTH * STEP_STRIDE { ROWS * ROW_STRIDE } else { DEPTH * STEP_STRIDE };

/// A factor of a product, seen as lanes (rows of the left factor, columns of the right one) by depth.
pub trait Operand: Sync {
    /// Whether runs go along the depth of one lane; otherwise along the lanes at one depth.
    const ALONG_DEPTH: bool;

    /// Copies a run. Along the depth: lane `fixed`, depths `start..start + run.len()`; across it: depth `fixed`, lanes `start..`.
    fn copy(&self, fixed: usize, start: usize, run: &mut [f32]);
}

/// A matrix in memory whose lanes are contiguous along the depth (or strided, at the cost of a gather).
#[derive(Clone, Copy, Debug)]
pub struct AlongDepth<'a> {
    /// Element (lane, depth) at `lane * lane_stride + depth * depth_stride`.
    pub data: &'a [f32],
    /// Distance of lanes.
    pub lane_stride: usize,
    /// Distance of depths, best 1.
    pub depth_stride: usize,
}

impl Operand for AlongDepth<'_> {
    const ALONG_DEPTH: bool = true;

    #[inline]
    fn copy(&self, fixed: usize, start: usize, run: &mut [f32]) {
        let first = fixed * self.lane_stride + start * self.depth_stride;
        if self.depth_stride == 1 {
            run.copy_from_slice(&self.data[first..first + run.len()]);
        } else {
            run.iter_mut().zip(self.data[first..].iter().step_by(self.depth_stride)).for_each(|(to, &from)| *to = from);
        }
    }
}

/// A matrix in memory whose lanes are neighbours.
#[derive(Clone, Copy, Debug)]
pub struct AcrossDepth<'a> {
    /// Element (lane, depth) at `lane + depth * depth_stride`.
    pub data: &'a [f32],
    /// Distance of depths.
    pub depth_stride: usize,
}

impl Operand for AcrossDepth<'_> {
    const ALONG_DEPTH: bool = false;

    #[inline]
    fn copy(&self, fixed: usize, start: usize, run: &mut [f32]) {
        let first = fixed * self.depth_stride + start;
        run.copy_from_slice(&self.data[first..first + run.len()]);
    }
}

/// Packs `rows` lanes from `lane` on and `depth` steps from `step` on as a left panel; returns its order and stride.
pub(super) fn pack_left<O: Operand>(
    operand: &O,
    lane: usize,
    rows: usize,
    step: usize,
    depth: usize,
    panel: &mut [f32; LEFT_PANEL],
) -> (LeftOrder, usize) {
    if O::ALONG_DEPTH {
        let used = if depth == 0 { 0 } else { rows };
        for (row, run) in panel.chunks_exact_mut(ROW_STRIDE).take(used).enumerate() {
            operand.copy(lane + row, step, &mut run[..depth]);
        }
        (LeftOrder::ByRow, ROW_STRIDE)
    } else {
        for (index, run) in panel.chunks_exact_mut(STEP_STRIDE).take(depth).enumerate() {
            operand.copy(step + index, lane, &mut run[..rows]);
        }
        (LeftOrder::ByStep, STEP_STRIDE)
    }
}

/// Packs `columns` lanes from `lane` on and `depth` steps from `step` on as right panels of [`COLUMNS`] lanes, each `depth` steps long; missing
/// lanes of the last panel are zero.
pub(super) fn pack_right<O: Operand>(operand: &O, lane: usize, columns: usize, step: usize, depth: usize, panels: &mut [f32]) {
    if depth == 0 {
        return;
    }
    let panels = &mut panels[..columns.div_ceil(COLUMNS) * COLUMNS * depth];
    if O::ALONG_DEPTH {
        let mut rows = [0.0; LANES * DEPTH];
        for first in (0..columns.next_multiple_of(COLUMNS)).step_by(LANES) {
            for (row, run) in rows.chunks_exact_mut(DEPTH).enumerate() {
                if first + row < columns {
                    operand.copy(lane + first + row, step, &mut run[..depth]);
                } else {
                    run[..depth].fill(0.0);
                }
            }
            let panel = &mut panels[first / COLUMNS * COLUMNS * depth..][..COLUMNS * depth];
            transpose(&rows, depth, first % COLUMNS, panel);
        }
    } else {
        // Whole runs at each step: the lanes of all panels are neighbours in memory.
        for index in 0..depth {
            for (panel, first) in (0..columns).step_by(COLUMNS).enumerate() {
                let used = COLUMNS.min(columns - first);
                let run = &mut panels[(panel * depth + index) * COLUMNS..][..COLUMNS];
                operand.copy(step + index, lane + first, &mut run[..used]);
                run[used..].fill(0.0);
            }
        }
    }
}

/// Writes `rows` (eight lanes, DEPTH apart) as columns `first..first + 8` of a right panel.
fn transpose(rows: &[f32; LANES * DEPTH], depth: usize, first: usize, panel: &mut [f32]) {
    for (block, to) in panel.chunks_mut(LANES * COLUMNS).take(depth.div_ceil(LANES)).enumerate() {
        let mut square = [Lanes::splat(0.0); LANES];
        for (values, row) in square.iter_mut().zip(rows.chunks_exact(DEPTH)) {
            *values = Lanes::load(&row[block * LANES..]);
        }
        for (values, to) in Lanes::transpose(square).into_iter().zip(to.chunks_exact_mut(COLUMNS)) {
            values.store(&mut to[first..first + LANES]);
        }
    }
}
