//! The innermost product: a tile of up to [`ROWS`] x [`COLUMNS`] outputs over one block of the depth, held in registers.
//!
//! Every element is one chain of fused multiply-adds over the depth in increasing order, whatever the tile's shape and the instruction set, so a
//! result depends on its own row and column alone.
#![allow(unsafe_code)]

/// Most rows of a tile: 14 x 2 AVX-512 accumulators leave four of the 32 registers for the operands.
pub(super) const ROWS: usize = 14;
/// Columns of a full tile: two AVX-512 registers.
pub(super) const COLUMNS: usize = 32;
/// Depth of a block: fixed, because it decides the order of summation.
pub(super) const DEPTH: usize = 256;
/// Distance of the rows of a left panel that is stored row by row; not a multiple of a page, so that rows do not compete for cache sets.
pub(super) const ROW_STRIDE: usize = DEPTH + 16;
/// Distance of the depth steps of a left panel that is stored step by step.
pub(super) const STEP_STRIDE: usize = 16;
/// Elements of a left panel in either order.
pub(super) const LEFT_PANEL: usize = if ROWS * ROW_STRIDE > DEPTH * STEP_STRIDE { ROWS * ROW_STRIDE } else { DEPTH * STEP_STRIDE };

/// The sums of one tile, row by row.
pub(super) type Tile = [[f32; COLUMNS]; ROWS];

/// How a left panel is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOrder {
    /// Element (row, step) at `row * ROW_STRIDE + step`.
    ByRow,
    /// Element (row, step) at `step * STEP_STRIDE + row`.
    ByStep,
}

/// The instruction set that the product runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The best one that this machine has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

/// One block: the left panel (`rows` used), the right panel (`depth` steps of [`COLUMNS`]).
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    pub(super) left: &'a [f32; LEFT_PANEL],
    pub(super) order: LeftOrder,
    pub(super) right: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
}

/// `tile[row][column] = sum over depth of left[row, step] * right[step, column]`; columns past `panels.columns` are unspecified.
pub(super) fn multiply(isa: Isa, panels: Panels, tile: &mut Tile) {
    assert!((1..=ROWS).contains(&panels.rows) && panels.depth <= DEPTH && panels.right.len() >= panels.depth * COLUMNS);
    match isa {
        // SAFETY: `Isa::detect` is the only source of these values and found the features.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { x86::avx512(panels, tile) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { x86::avx2(panels, tile) },
        Isa::Portable => portable(panels, tile),
    }
}

/// The same in plain Rust, in pieces of 4 x 16 that fit sixteen 256-bit registers (or 32 of 128 bits).
#[inline(always)]
fn portable(panels: Panels, tile: &mut Tile) {
    const PIECE: usize = 4;
    for first in (0..panels.rows).step_by(PIECE) {
        for column in (0..panels.columns).step_by(16) {
            match (panels.rows - first).min(PIECE) {
                1 => piece::<1>(panels, first, column, tile),
                2 => piece::<2>(panels, first, column, tile),
                3 => piece::<3>(panels, first, column, tile),
                _ => piece::<4>(panels, first, column, tile),
            }
        }
    }
}

#[inline(always)]
fn piece<const PIECE: usize>(panels: Panels, first: usize, column: usize, tile: &mut Tile) {
    let (row_stride, step_stride) = match panels.order {
        LeftOrder::ByRow => (ROW_STRIDE, 1),
        LeftOrder::ByStep => (1, STEP_STRIDE),
    };
    let mut sums = [[0.0_f32; 16]; PIECE];
    for (step, right) in panels.right.chunks_exact(COLUMNS).take(panels.depth).enumerate() {
        let right: &[f32; 16] = right[column..].first_chunk().unwrap_or(&[0.0; 16]);
        for (row, sums) in sums.iter_mut().enumerate() {
            let left = panels.left[(first + row) * row_stride + step * step_stride];
            for (sum, &right) in sums.iter_mut().zip(right) {
                *sum = multiply_add(left, right, *sum);
            }
        }
    }
    for (row, sums) in tile[first..].iter_mut().zip(&sums) {
        row[column..column + 16].copy_from_slice(sums);
    }
}

/// `a * b + c`, fused where the hardware does it: emulating it would take a library call.
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps};

    use super::{COLUMNS, LeftOrder, Panels, ROW_STRIDE, STEP_STRIDE, Tile, portable};

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(panels: Panels, tile: &mut Tile) {
        portable(panels, tile);
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(panels: Panels, tile: &mut Tile) {
        macro_rules! by_rows {
            ($vectors:literal, $row:expr, $step:expr, $($rows:literal)*) => {
                match panels.rows {
                    $($rows => block::<$rows, $vectors, $row, $step>(panels, tile),)*
                    rows => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        match (panels.order, panels.columns > 16) {
            (LeftOrder::ByRow, true) => by_rows!(2, ROW_STRIDE, 1, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            (LeftOrder::ByRow, false) => by_rows!(1, ROW_STRIDE, 1, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            (LeftOrder::ByStep, true) => by_rows!(2, 1, STEP_STRIDE, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            (LeftOrder::ByStep, false) => by_rows!(1, 1, STEP_STRIDE, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        }
    }

    #[target_feature(enable = "avx512f")]
    fn block<const ROWS: usize, const VECTORS: usize, const ROW: usize, const STEP: usize>(panels: Panels, tile: &mut Tile) {
        let mut sums: [[__m512; VECTORS]; ROWS] = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        let mut left = panels.left.as_ptr();
        let mut right = panels.right.as_ptr();
        for _ in 0..panels.depth {
            // SAFETY: `multiply` checked that the right panel has `depth` steps of COLUMNS = 2 x 16 elements and that `rows` and `depth` are in
            // range, so that every (row, step) lies inside the left panel's LEFT_PANEL elements in either order.
            unsafe {
                let columns: [__m512; VECTORS] = std::array::from_fn(|vector| _mm512_loadu_ps(right.add(16 * vector)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = _mm512_set1_ps(*left.add(row * ROW));
                    for (sum, &column) in sums.iter_mut().zip(&columns) {
                        *sum = _mm512_fmadd_ps(value, column, *sum);
                    }
                }
                left = left.add(STEP);
                right = right.add(COLUMNS);
            }
        }
        for (row, sums) in tile.iter_mut().zip(&sums) {
            for (part, &sum) in row.chunks_exact_mut(16).zip(sums) {
                // SAFETY: `part` has 16 elements.
                unsafe { _mm512_storeu_ps(part.as_mut_ptr(), sum) };
            }
        }
    }
}
