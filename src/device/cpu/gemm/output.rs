//! What happens to a sum on its way to memory.

use super::kernel::{COLUMNS, Tile};

/// What is done with each product before it is stored: `out = scale * product (+ out) + bias + group + residual`.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// Factor of the product.
    pub scale: f32,
    /// Whether the product is added to what the output holds.
    pub accumulate: bool,
    /// One number per column.
    pub bias: Option<&'a [f32]>,
    /// One row of numbers for each group of so many consecutive output rows: `[groups, columns]`.
    pub per_group: Option<(&'a [f32], usize)>,
    /// One number per output element: `[rows, columns]`, contiguous.
    pub residual: Option<&'a [f32]>,
}

impl Default for Finish<'_> {
    fn default() -> Self {
        Self { scale: 1.0, accumulate: false, bias: None, per_group: None, residual: None }
    }
}

/// Which part of the output a tile is, and which part of the depth it has summed.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Index of the tile's first row in the whole output.
    pub(super) row: usize,
    /// Index of the tile's first column in the whole output.
    pub(super) column: usize,
    /// Columns of the whole output.
    pub(super) width: usize,
    pub(super) first_block: bool,
    pub(super) last_block: bool,
}

impl Finish<'_> {
    /// Stores a tile in `rows`, from element `offset` of each on.
    pub(super) fn store(&self, tile: &Tile, rows: &mut [&mut [f32]], offset: usize, columns: usize, place: Place) {
        let add = self.accumulate || !place.first_block;
        for (index, (row, sums)) in rows.iter_mut().zip(tile).enumerate() {
            if let Some(row) = row[offset..].first_chunk_mut::<COLUMNS>().filter(|_| columns == COLUMNS) {
                self.store_row(&sums[..], &mut row[..], place.row + index, add, place);
            } else {
                self.store_row(&sums[..columns], &mut row[offset..offset + columns], place.row + index, add, place);
            }
        }
    }

    #[inline(always)]
    fn store_row(&self, sums: &[f32], output: &mut [f32], row: usize, add: bool, place: Place) {
        if add {
            output.iter_mut().zip(sums).for_each(|(out, sum)| *out += self.scale * sum);
        } else {
            output.iter_mut().zip(sums).for_each(|(out, sum)| *out = self.scale * sum);
        }
        if !place.last_block {
            return;
        }
        let mut plus = |terms: &[f32], start: usize| {
            output.iter_mut().zip(&terms[start..]).for_each(|(out, term)| *out += term);
        };
        if let Some(bias) = self.bias {
            plus(bias, place.column);
        }
        if let Some((terms, group)) = self.per_group {
            plus(terms, row / group * place.width + place.column);
        }
        if let Some(residual) = self.residual {
            plus(residual, row * place.width + place.column);
        }
    }
}
