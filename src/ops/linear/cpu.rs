//! One matrix product forward, two backward.

use super::{Geometry, LinearEpilogue, with_last};
use crate::device::cpu::Buffer;
use crate::device::cpu::gemm::{Finish, MatrixMut, MatrixRef, gemm_parallel};
use crate::device::cpu::reduce::column_sums;
use crate::error::Result;
use crate::ops::elementwise::{QUICK_GELU, Unary, geglu_on_cpu, unary_on_cpu};
use crate::tensor::Tensor;

pub(super) fn forward(geometry: &Geometry, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, epilogue: LinearEpilogue) -> Result<Tensor> {
    let &Geometry { rows, inputs, outputs } = geometry;
    let (x_data, weight_data) = (x.f32s()?, weight.f32s()?);
    let bias = bias.map(Tensor::f32s).transpose()?;
    let x_matrix = MatrixRef::row_major(&x_data, inputs);
    let weight_matrix = MatrixRef::row_major(&weight_data, inputs).transposed();
    let residual = epilogue.residual().map(|residual| residual.f32s()).transpose()?;
    let finish = Finish { scale: epilogue.scale(), bias: bias.as_deref(), residual: residual.as_deref(), ..Finish::default() };
    let output = product([rows, outputs, inputs], x_matrix, weight_matrix, &finish);
    // The rows of a tile are not in the caches together: here an activation is a pass of its own.
    let (output, outputs) = match epilogue {
        LinearEpilogue::Nothing | LinearEpilogue::Residual(_) | LinearEpilogue::Scale(_) => (output, outputs),
        LinearEpilogue::Silu => (unary_on_cpu(Unary::Swish { scale: 1.0 }, &output), outputs),
        LinearEpilogue::QuickGelu => (unary_on_cpu(Unary::Swish { scale: QUICK_GELU }, &output), outputs),
        LinearEpilogue::Gelu => (unary_on_cpu(Unary::Gelu, &output), outputs),
        LinearEpilogue::Geglu => (geglu_on_cpu(outputs / 2, &output), outputs / 2),
    };
    Tensor::from_f32_as(output, &with_last(x.shape(), outputs), x.dtype())
}

/// Gradients of x, weight and bias: dx = s · dy W, dW = s · dyᵀ x, db = the column sums of dy. `x` is there when the weight's is wanted.
pub(super) fn backward(
    geometry: &Geometry,
    x: Option<&Tensor>,
    weight: &Tensor,
    gradient: &Tensor,
    scale: f32,
    wanted: [bool; 3],
) -> Result<[Option<Tensor>; 3]> {
    let &Geometry { rows, inputs, outputs } = geometry;
    let (shape, dtype) = (with_last(gradient.shape(), inputs), gradient.dtype());
    let gradient = gradient.f32s()?;
    let rows_of_gradient = MatrixRef::row_major(&gradient, outputs);
    let finish = Finish { scale, ..Finish::default() };
    let mut shares = [None, None, None];
    if wanted[0] {
        let weight_data = weight.f32s()?;
        let share = product([rows, inputs, outputs], rows_of_gradient, MatrixRef::row_major(&weight_data, inputs), &finish);
        shares[0] = Some(Tensor::from_f32_as(share, &shape, dtype)?);
    }
    if let (true, Some(x)) = (wanted[1], x) {
        let x_data = x.f32s()?;
        let share = product([outputs, inputs, rows], rows_of_gradient.transposed(), MatrixRef::row_major(&x_data, inputs), &finish);
        shares[1] = Some(Tensor::from_f32_as(share, weight.shape(), weight.dtype())?);
    }
    if wanted[2] {
        shares[2] = Some(Tensor::from_f32(column_sums(&gradient, outputs), &[outputs])?);
    }
    Ok(shares)
}

fn product(sizes: [usize; 3], a: MatrixRef, b: MatrixRef, finish: &Finish) -> Buffer<f32> {
    let [rows, columns, _] = sizes;
    let mut output = Buffer::scratch(rows * columns);
    gemm_parallel(sizes, a, b, MatrixMut { data: &mut output, row_stride: columns.max(1) }, finish);
    output
}
