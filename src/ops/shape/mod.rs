//! Views and rearrangements: no arithmetic.

use crate::autograd::Var;
use crate::error::Result;
use crate::tensor::Tensor;

/// The same elements under another shape.
pub fn reshape(x: &Var, shape: &[usize]) -> Result<Var> {
    let _ = (x, shape);
    todo!()
}

/// Joins along `axis`; the other sizes agree.
pub fn concat(parts: &[&Var], axis: usize) -> Result<Var> {
    let _ = (parts, axis);
    todo!()
}

/// Elements `start .. start + length` of `axis`.
pub fn narrow(x: &Var, axis: usize, start: usize, length: usize) -> Result<Var> {
    let _ = (x, axis, start, length);
    todo!()
}

/// One row of `table [rows, width]` per i32 id: ids `[..] -> [.., width]`. Ids out of range are an error. The gradient is dense.
pub fn embedding(table: &Var, ids: &Tensor) -> Result<Var> {
    let _ = (table, ids);
    todo!()
}
