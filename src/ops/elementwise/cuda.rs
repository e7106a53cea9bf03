//! The family on the GPU: one row per function, which `kernels/elementwise.cu` computes.

use super::broadcast::{Geometry, Repeated};
use super::{Binary, Unary};
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::tensor::cuda::BLOCK;
use crate::tensor::{DType, Tensor, scratch};

/// Columns of a block that sums columns.
const COLUMNS: usize = 32;
/// Repeats that a block sums at least, and runs that a sum is cut into at most: enough to occupy the GPU, few enough to add quickly.
const RUN: usize = 64;
const MOST_RUNS: usize = 64;

/// The function's number in the kernel and its constants.
fn code(op: Unary) -> (usize, [f32; 2]) {
    match op {
        Unary::Swish { scale } => (0, [scale, 0.0]),
        Unary::Gelu => (1, [0.0; 2]),
        Unary::LeakyRelu { slope } => (2, [slope, 0.0]),
        Unary::Sigmoid => (3, [0.0; 2]),
        Unary::Tanh => (4, [0.0; 2]),
        Unary::Exp => (5, [0.0; 2]),
        Unary::Abs => (6, [0.0; 2]),
        Unary::Clamp { low, high } => (7, [low, high]),
        Unary::Affine { factor, offset } => (8, [factor, offset]),
    }
}

fn binary_code(op: Binary) -> usize {
    match op {
        Binary::Add => 0,
        Binary::Sub => 1,
        Binary::Mul => 2,
    }
}

fn repeated_code(op: Repeated) -> usize {
    match op {
        Repeated::Add => 0,
        Repeated::Mul => 2,
        Repeated::Prelu => 3,
        Repeated::PreluSlope => 4,
    }
}

/// `op` of every element.
pub(super) fn unary(cuda: &Cuda, op: Unary, x: &Tensor) -> Result<Tensor> {
    let (output, (code, [p, q])) = (scratch(cuda, x.shape(), x.dtype())?, code(op));
    let launch = Launch::new(cuda, "unary", x.dtype()).grid(x.elements().div_ceil(BLOCK), 1, 1);
    launch.tensor(x).tensor(&output).int(x.elements()).int(code).float(p).float(q).run()?;
    Ok(output)
}

/// The gradient times the slope of `op` at every element.
pub(super) fn unary_backward(cuda: &Cuda, op: Unary, x: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let (output, (code, [p, q])) = (scratch(cuda, x.shape(), x.dtype())?, code(op));
    let gradient = gradient.to_dtype(x.dtype())?;
    let launch = Launch::new(cuda, "unary_gradient", x.dtype()).grid(x.elements().div_ceil(BLOCK), 1, 1);
    launch.tensor(x).tensor(&gradient).tensor(&output).int(x.elements()).int(code).float(p).float(q).run()?;
    Ok(output)
}

/// `op` of every pair of elements.
pub(super) fn binary(cuda: &Cuda, op: Binary, a: &Tensor, b: &Tensor, dtype: DType) -> Result<Tensor> {
    let (a, b, output) = (a.to_dtype(dtype)?, b.to_dtype(dtype)?, scratch(cuda, a.shape(), dtype)?);
    let launch = Launch::new(cuda, "binary", dtype).grid(a.elements().div_ceil(BLOCK), 1, 1);
    launch.tensor(&a).tensor(&b).tensor(&output).int(a.elements()).int(binary_code(op)).run()?;
    Ok(output)
}

/// `op` of x and a y that repeats.
pub(super) fn broadcast(cuda: &Cuda, geometry: Geometry, op: Repeated, x: &Tensor, y: &Tensor, dtype: DType) -> Result<Tensor> {
    let (x, y, output) = (x.to_dtype(dtype)?, y.to_dtype(dtype)?, scratch(cuda, x.shape(), dtype)?);
    let launch = Launch::new(cuda, "broadcast", dtype).grid(x.elements().div_ceil(BLOCK), 1, 1).tensor(&x).tensor(&y).tensor(&output);
    launch.int(x.elements()).int(geometry.repeat).int(geometry.inner).int(repeated_code(op)).run()?;
    Ok(output)
}

/// The sum over the repeats of `gradient`, times `factor` where given.
pub(super) fn sum_repeats(
    cuda: &Cuda,
    geometry: Geometry,
    gradient: &Tensor,
    factor: Option<&Tensor>,
    shape: &[usize],
    dtype: DType,
) -> Result<Tensor> {
    let Geometry { outer, repeat, inner } = geometry;
    let factor = factor.map(|factor| factor.to_dtype(gradient.dtype())).transpose()?;
    let sums = scratch(cuda, shape, gradient.dtype())?;
    if inner == 1 {
        let launch = Launch::new(cuda, "sum_repeats_rows", gradient.dtype()).grid(outer.div_ceil(8), 1, 1);
        launch.tensor(gradient).optional(factor.as_ref()).tensor(&sums).int(outer).int(repeat).run()?;
        return sums.to_dtype(dtype);
    }
    // The cut depends on the shape alone, so the order of a sum does.
    let rows_per_run = repeat.div_ceil(MOST_RUNS).max(RUN);
    let runs = repeat.div_ceil(rows_per_run);
    let parts = scratch(cuda, &[runs, outer, inner], DType::F32)?;
    let launch = Launch::new(cuda, "sum_repeats_columns", gradient.dtype()).grid(inner.div_ceil(COLUMNS), outer, runs);
    launch.tensor(gradient).optional(factor.as_ref()).tensor(&parts).int(outer).int(repeat).int(inner).int(rows_per_run).run()?;
    let launch = Launch::new(cuda, "sum_parts", gradient.dtype()).grid((outer * inner).div_ceil(256), 1, 1);
    launch.tensor(&parts).tensor(&sums).int(outer * inner).int(runs).run()?;
    sums.to_dtype(dtype)
}

/// a · gelu(b), rows of `width` a then `width` b.
pub(super) fn geglu(cuda: &Cuda, width: usize, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let output = scratch(cuda, shape, x.dtype())?;
    let launch = Launch::new(cuda, "geglu", x.dtype()).grid(output.elements().div_ceil(256), 1, 1);
    launch.tensor(x).tensor(&output).int(output.elements() / width).int(width).run()?;
    Ok(output)
}

/// The gradient of [`geglu`].
pub(super) fn geglu_backward(cuda: &Cuda, width: usize, x: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let (output, gradient) = (scratch(cuda, x.shape(), x.dtype())?, gradient.to_dtype(x.dtype())?);
    let launch = Launch::new(cuda, "geglu_gradient", x.dtype()).grid(gradient.elements().div_ceil(256), 1, 1);
    launch.tensor(x).tensor(&gradient).tensor(&output).int(gradient.elements() / width).int(width).run()?;
    Ok(output)
}
