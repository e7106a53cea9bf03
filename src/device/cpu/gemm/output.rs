//! What happens to a sum on its way to memory.

use std::ops::Range;

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

impl Finish<'_> {
    /// Multiplies a part of a product that was stored without the factor.
    pub fn scale_stored(&self, sums: &mut [f32]) {
        if self.scale != 1.0 {
            sums.iter_mut().for_each(|sum| *sum *= self.scale);
        }
    }

    /// Adds what comes behind the product to elements `columns` of `rows`. `place` is the index of element (0, 0) of the rows in the whole output,
    /// which has `width` columns.
    pub fn add_terms(&self, rows: &mut [&mut [f32]], columns: Range<usize>, place: [usize; 2], width: usize) {
        let column = place[1] + columns.start;
        for (index, row) in rows.iter_mut().enumerate() {
            let row_index = place[0] + index;
            let terms = [
                self.bias.map(|terms| &terms[column..]),
                self.per_group.map(|(terms, group)| &terms[row_index / group * width + column..]),
                self.residual.map(|terms| &terms[row_index * width + column..]),
            ];
            for terms in terms.into_iter().flatten() {
                row[columns.clone()].iter_mut().zip(terms).for_each(|(out, term)| *out += term);
            }
        }
    }
}
