//! Matrix products in f32, blocked for the caches and packed.
//!
//! * [`gemm`]: one product of matrices in memory on the calling thread; for many small products in parallel (attention heads), call it from
//!   rayon tasks.
//! * [`gemm_parallel`]: one product on all threads.
//! * [`product`]: factors that are not matrices in memory (convolutions), an [`Operand`] each, and any set of output rows; [`product_contiguous`] for
//!   rows that lie one after another.
//! * [`kernel`]: one register tile, for algorithms that keep their factors packed themselves.
//!
//! An output element depends on its own row and column only: the depth is summed in blocks of fixed length, each in increasing order. So results
//! are the same bits for any number of threads and any number of other rows and columns.

pub mod kernel;
mod operand;
mod output;
mod product;
#[cfg(test)]
mod tests;

pub use operand::{AcrossDepth, AlongDepth, Operand};
pub use output::Finish;
pub use product::{product, product_contiguous, product_on_this_thread};

/// A matrix in memory: element (row, column) at `row * row_stride + column * column_stride`. One of the strides should be 1.
#[derive(Clone, Copy, Debug)]
pub struct MatrixRef<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// Distance of rows.
    pub row_stride: usize,
    /// Distance of columns.
    pub column_stride: usize,
}

impl<'a> MatrixRef<'a> {
    /// Rows of `columns` contiguous elements.
    pub fn row_major(data: &'a [f32], columns: usize) -> Self {
        Self { data, row_stride: columns, column_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { data: self.data, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    fn check(&self, name: &str, rows: usize, columns: usize) {
        let last = (rows - 1) * self.row_stride + (columns - 1) * self.column_stride;
        assert!(last < self.data.len(), "matrix {name} [{rows}, {columns}] needs {} elements, found {}", last + 1, self.data.len());
    }
}

/// Where a product goes: rows of contiguous elements, `row_stride` apart.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    /// The elements.
    pub data: &'a mut [f32],
    /// Distance of rows, at least the number of columns.
    pub row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Whether `rows` of `columns` elements lie one after another and are all there is.
    fn is_contiguous(&self, rows: usize, columns: usize) -> bool {
        self.row_stride == columns && self.data.len() == rows * columns
    }

    fn rows(self, rows: usize, columns: usize) -> Vec<&'a mut [f32]> {
        assert!(columns <= self.row_stride && (rows - 1) * self.row_stride + columns <= self.data.len(), "output [{rows}, {columns}]");
        self.data.chunks_mut(self.row_stride).take(rows).map(|row| &mut row[..columns]).collect()
    }
}

/// `out [m, n] = finish(a [m, k] · b [k, n])` on the calling thread. Panics when a matrix is too short for its sizes.
pub fn gemm(sizes: [usize; 3], a: MatrixRef, b: MatrixRef, out: MatrixMut, finish: &Finish) {
    dispatch(sizes, a, b, out, finish, false);
}

/// [`gemm`] on all threads of the rayon pool.
pub fn gemm_parallel(sizes: [usize; 3], a: MatrixRef, b: MatrixRef, out: MatrixMut, finish: &Finish) {
    dispatch(sizes, a, b, out, finish, true);
}

fn dispatch([m, n, k]: [usize; 3], a: MatrixRef, b: MatrixRef, out: MatrixMut, finish: &Finish, parallel: bool) {
    if m == 0 || n == 0 {
        return;
    }
    if k > 0 {
        a.check("a", m, k);
        b.check("b", k, n);
    }
    let left_along = AlongDepth { data: a.data, lane_stride: a.row_stride, depth_stride: a.column_stride };
    let left_across = AcrossDepth { data: a.data, depth_stride: a.column_stride };
    let right_along = AlongDepth { data: b.data, lane_stride: b.column_stride, depth_stride: b.row_stride };
    let right_across = AcrossDepth { data: b.data, depth_stride: b.row_stride };
    let left_is_across = a.row_stride == 1 && a.column_stride != 1;
    match (left_is_across, b.column_stride == 1) {
        (false, false) => run(&left_along, &right_along, [m, n, k], out, finish, parallel),
        (false, true) => run(&left_along, &right_across, [m, n, k], out, finish, parallel),
        (true, false) => run(&left_across, &right_along, [m, n, k], out, finish, parallel),
        (true, true) => run(&left_across, &right_across, [m, n, k], out, finish, parallel),
    }
}

fn run<A: Operand, B: Operand>(a: &A, b: &B, [m, n, k]: [usize; 3], out: MatrixMut, finish: &Finish, parallel: bool) {
    match parallel {
        true if out.is_contiguous(m, n) => product_contiguous(a, b, k, out.data, n, finish),
        true => product(a, b, k, &mut out.rows(m, n), finish),
        false => product_on_this_thread(a, b, k, &mut out.rows(m, n), finish),
    }
}
