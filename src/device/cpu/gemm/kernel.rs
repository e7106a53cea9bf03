//! The innermost product: a tile of up to [`ROWS`] x [`COLUMNS`] outputs over one block of the depth, held in registers.
//!
//! Every element is one chain of fused multiply-adds over the depth in increasing order, whatever the tile's shape and the instruction set, so a
//! result depends on its own row and column alone.
#![allow(unsafe_code)]

use crate::device::cpu::lanes::{LANES, Lanes};

/// Most rows of a tile: 14 x 2 AVX-512 accumulators leave four of the 32 registers for the operands.
pub const ROWS: usize = 14;
/// Columns of a full tile: two AVX-512 registers.
pub const COLUMNS: usize = 32;
/// Depth of a block: fixed, because it decides the order of summation.
pub const DEPTH: usize = 384;
/// How a left panel is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOrder {
    /// Element (row, step) at `row * stride + step`.
    ByRow,
    /// Element (row, step) at `step * stride + row`.
    ByStep,
}

/// The instruction set that the product runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Sixteen lanes, 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Eight lanes: what this program was compiled for, AVX2 on x86-64 (`.cargo/config.toml`).
    Portable,
}

impl Isa {
    /// The best first.
    const ALL: &[Self] = &[
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        Self::Portable,
    ];

    /// Those that this machine has, the best first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|isa| match isa {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            Self::Portable => true,
        })
    }

    /// The best one that this machine has.
    pub fn detect() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }
}

/// The factors of one block.
pub struct Panels<'a> {
    /// The left panel's elements.
    pub left: &'a [f32],
    /// Their order.
    pub order: LeftOrder,
    /// Distance of the left panel's rows or steps. Rows that are a multiple of a page apart compete for the same cache sets.
    pub stride: usize,
    /// `depth` steps of [`COLUMNS`] elements.
    pub right: &'a [f32],
    /// Steps, at most [`DEPTH`].
    pub depth: usize,
}

/// Where the sums of a tile go.
pub struct Target<'a, 'r> {
    /// At most [`ROWS`] rows.
    pub rows: &'a mut [&'r mut [f32]],
    /// The first element of each row.
    pub offset: usize,
    /// Elements of each row, at most [`COLUMNS`].
    pub columns: usize,
    /// Factor of the sums.
    pub scale: f32,
    /// Whether they are added to what is there.
    pub add: bool,
}

/// `target[row][column] (+)= scale * sum over depth of left[row, step] * right[step, column]`.
///
/// Panics when a panel or a row is too short, or there are too many rows, columns or steps.
///
/// Both by reference: a copy that the compiler makes in wide registers of what was just written in narrow ones waits for all stores before it, and those
/// of the last tile go to memory that is in no cache. That took 6 % of a generation.
pub fn multiply(isa: Isa, panels: &Panels, target: &mut Target) {
    let &Panels { order, stride, depth, .. } = panels;
    let rows = target.rows.len();
    assert!((1..=ROWS).contains(&rows) && (1..=COLUMNS).contains(&target.columns));
    let (lanes, run) = if order == LeftOrder::ByRow { (rows, depth) } else { (depth, rows) };
    assert!(depth == 0 || (lanes - 1) * stride + run <= panels.left.len());
    assert!(panels.depth <= DEPTH && panels.right.len() >= panels.depth * COLUMNS);
    assert!(target.rows.iter().all(|row| target.offset + target.columns <= row.len()));
    match isa {
        // SAFETY: this value comes from `Isa::available`, which found the feature.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { x86::avx512(panels, target) },
        Isa::Portable => portable(panels, target),
    }
}

/// Columns of a piece of a tile, for registers of eight lanes: two of them.
const PIECE_COLUMNS: usize = 2 * LANES;
/// Most rows of a piece: 6 x 2 accumulators leave four of 16 registers for the operands.
const PIECE_ROWS: usize = 6;

/// First row, rows and first column of the pieces of a tile. Those of the same columns come one after another, so that half of the right panel stays in
/// the innermost cache; 14 rows are 5, 5 and 4, because pieces of few rows wait for their operands.
fn pieces(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let most = rows.div_ceil(rows.div_ceil(PIECE_ROWS));
    let of_columns = move |column| (0..rows).step_by(most).map(move |first| (first, most.min(rows - first), column));
    (0..columns).step_by(PIECE_COLUMNS).flat_map(of_columns)
}

/// The tile in pieces that fit 16 registers.
fn portable(panels: &Panels, target: &mut Target) {
    macro_rules! by_rows {
        ($by_row:literal, $piece:expr, $($rows:literal)*) => {{
            let (first, rows, column) = $piece;
            match rows {
                $($rows => piece::<$rows, $by_row>(panels, first, column, target),)*
                rows => unreachable!("a piece of {rows} rows"),
            }
        }};
    }
    for piece in pieces(target.rows.len(), target.columns) {
        match panels.order {
            LeftOrder::ByRow => by_rows!(true, piece, 1 2 3 4 5 6),
            LeftOrder::ByStep => by_rows!(false, piece, 1 2 3 4 5 6),
        }
    }
}

/// Rows from `first` and columns from `column` of the tile.
fn piece<const ROWS: usize, const BY_ROW: bool>(panels: &Panels, first: usize, column: usize, target: &mut Target) {
    let (row_stride, step_stride) = if BY_ROW { (panels.stride, 1) } else { (1, panels.stride) };
    // Says that both vectors of a step are there: the loop has no branch then.
    assert!(column <= COLUMNS - PIECE_COLUMNS);
    let mut sums = [[Lanes::splat(0.0); 2]; ROWS];
    for (step, right) in panels.right.chunks_exact(COLUMNS).take(panels.depth).enumerate() {
        let columns = [Lanes::load(&right[column..]), Lanes::load(&right[column + LANES..])];
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `multiply` checked that every (row, step) lies inside the left panel, in the order and with the stride given. A check of
            // each element here takes two fifths of the speed.
            let value = unsafe { *panels.left.get_unchecked((first + row) * row_stride + step * step_stride) };
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = column.times_plus(value, *sum);
            }
        }
    }
    let end = target.offset + target.columns;
    for (row, sums) in target.rows[first..].iter_mut().zip(sums) {
        for (vector, sum) in sums.into_iter().enumerate() {
            let start = (target.offset + column + LANES * vector).min(end);
            let out = &mut row[start..end.min(start + LANES)];
            let sum = if target.add { sum.times_plus(target.scale, Lanes::load(out)) } else { sum * target.scale };
            sum.store(out);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512, _MM_HINT_T0, _mm_prefetch, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps,
        _mm512_set1_ps, _mm512_setzero_ps,
    };

    use super::{COLUMNS, LeftOrder, Panels, Target};

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(panels: &Panels, target: &mut Target) {
        macro_rules! by_rows {
            ($vectors:literal, $by_row:literal, $($rows:literal)*) => {
                match target.rows.len() {
                    $($rows => block::<$rows, $vectors, $by_row>(panels, target),)*
                    rows => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        match (panels.order, target.columns > 16) {
            (LeftOrder::ByRow, true) => by_rows!(2, true, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            (LeftOrder::ByRow, false) => by_rows!(1, true, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            (LeftOrder::ByStep, true) => by_rows!(2, false, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            (LeftOrder::ByStep, false) => by_rows!(1, false, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        }
    }

    #[target_feature(enable = "avx512f")]
    fn block<const ROWS: usize, const VECTORS: usize, const BY_ROW: bool>(panels: &Panels, target: &mut Target) {
        let (row_stride, step_stride) = if BY_ROW { (panels.stride, 1) } else { (1, panels.stride) };
        let mut sums: [[__m512; VECTORS]; ROWS] = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        if target.add {
            for row in target.rows.iter() {
                // The line that holds the last element too: rows need not start at a line.
                for at in [target.offset, target.offset + target.columns - 1] {
                    // SAFETY: `multiply` checked that the columns lie within every row, and a prefetch reads nothing.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().add(at).cast()) };
                }
            }
        }
        let mut left = panels.left.as_ptr();
        let mut right = panels.right.as_ptr();
        for _ in 0..panels.depth {
            // SAFETY: `multiply` checked that the right panel has `depth` steps of COLUMNS = 2 x 16 elements and that every (row, step) lies
            // inside the left panel, in the order and with the stride given.
            unsafe {
                let columns: [__m512; VECTORS] = std::array::from_fn(|vector| _mm512_loadu_ps(right.add(16 * vector)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = _mm512_set1_ps(*left.add(row * row_stride));
                    for (sum, &column) in sums.iter_mut().zip(&columns) {
                        *sum = _mm512_fmadd_ps(value, column, *sum);
                    }
                }
                left = left.wrapping_add(step_stride);
                right = right.add(COLUMNS);
            }
        }
        let scale = _mm512_set1_ps(target.scale);
        let mask = ((1_u64 << target.columns) - 1) as u32;
        // A fixed number of rows and vectors, so that the sums never need an address.
        let Some(rows) = target.rows.first_chunk_mut::<ROWS>() else { unreachable!("the caller chose ROWS by the number of rows") };
        for row in 0..ROWS {
            for vector in 0..VECTORS {
                let (mask, sum) = ((mask >> (16 * vector)) as u16, sums[row][vector]);
                // SAFETY: the mask keeps to the `columns` elements from `offset` on, which `multiply` checked to lie within every row.
                unsafe {
                    let to = rows[row].as_mut_ptr().add(target.offset + 16 * vector);
                    let value = if target.add { _mm512_fmadd_ps(scale, sum, _mm512_maskz_loadu_ps(mask, to)) } else { _mm512_mul_ps(scale, sum) };
                    _mm512_mask_storeu_ps(to, mask, value);
                }
            }
        }
    }
}
