//! Views and rearrangements: no arithmetic.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;

/// A tensor seen from one axis: `[outer, size, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    outer: usize,
    size: usize,
    inner: usize,
}

impl Geometry {
    fn new(op: &str, shape: &[usize], axis: usize) -> Result<Self> {
        ensure!(axis < shape.len(), "{op}: there is no axis {axis} in shape {shape:?}");
        Ok(Self { outer: shape[..axis].iter().product(), size: shape[axis], inner: shape[axis + 1..].iter().product() })
    }
}

/// The same elements under another shape.
pub fn reshape(x: &Var, shape: &[usize]) -> Result<Var> {
    let output = x.tensor().reshape(shape)?;
    let before = x.shape().to_vec();
    Ok(Var::record(output, [x], move |gradient, _| Ok([Some(gradient.reshape(&before)?)])))
}

/// Joins along `axis`; the other sizes and the element types agree.
pub fn concat(parts: &[&Var], axis: usize) -> Result<Var> {
    ensure!(!parts.is_empty(), "concat needs at least one part");
    let tensors: Vec<Tensor> = parts.iter().map(|part| part.tensor().clone()).collect();
    let output = join(&tensors, axis)?;
    let sizes: Vec<usize> = parts.iter().map(|part| part.dim(axis)).collect();
    let wanted: Vec<bool> = parts.iter().map(|part| part.wants_gradient()).collect();
    let inputs: Vec<Var> = parts.iter().map(|&part| part.clone()).collect();
    Ok(Var::record_many(output, &inputs, move |gradient| {
        let mut start = 0;
        let mut shares = Vec::with_capacity(sizes.len());
        for (&size, &wanted) in sizes.iter().zip(&wanted) {
            shares.push(if wanted { Some(cut(gradient, axis, start, size)?) } else { None });
            start += size;
        }
        Ok(shares)
    }))
}

/// Elements `start .. start + length` of `axis`.
pub fn narrow(x: &Var, axis: usize, start: usize, length: usize) -> Result<Var> {
    let output = cut(x, axis, start, length)?;
    let shape = x.shape().to_vec();
    Ok(Var::record(output, [x], move |gradient, _| {
        let geometry = Geometry::new("narrow", &shape, axis)?;
        Ok([Some(match gradient.device() {
            Device::Cpu => {
                let zeros = |size: usize| {
                    let mut shape = shape.clone();
                    shape[axis] = size;
                    Tensor::zeros(&shape).to_dtype(gradient.dtype())
                };
                join(&[zeros(start)?, gradient.clone(), zeros(shape[axis] - start - length)?], axis)?
            }
            Device::Cuda(device) => cuda::narrow_backward(&device, geometry, gradient, start, length, &shape)?,
        })])
    }))
}

/// One row of `table [rows, width]` per i32 id: ids `[..] -> [.., width]`. Ids out of range are an error. The gradient is dense.
pub fn embedding(table: &Var, ids: &Tensor) -> Result<Var> {
    let [rows, width] = table.dims()?;
    check_ids(rows, ids.to_device(Device::Cpu)?.i32s()?)?;
    let (ids, dtype) = (ids.to_device(table.device())?, table.dtype());
    let output = look_up(table, &ids)?;
    Ok(Var::record(output, [table], move |gradient, _| {
        Ok([Some(match gradient.device() {
            Device::Cpu => Tensor::from_f32_as(cpu::embedding_backward(rows, width, ids.i32s()?, &gradient.f32s()?), &[rows, width], dtype)?,
            Device::Cuda(device) => cuda::embedding_backward(&device, &ids, gradient, [rows, width])?,
        })])
    }))
}

/// One row of `table [rows, width]` per i32 id, for ids that were put where the table is: ids `[..] -> [.., width]`. No gradient. A GPU's ids are not looked
/// at, since that would wait for it: whoever put them there has seen to it that they are in range.
pub fn rows(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    if ids.device() == Device::Cpu {
        check_ids(table.dim(0), ids.i32s()?)?;
    }
    look_up(table, ids)
}

fn check_ids(rows: usize, ids: &[i32]) -> Result<()> {
    match ids.iter().find(|&&id| usize::try_from(id).map_or(true, |id| id >= rows)) {
        Some(id) => crate::error::bail!("embedding: id {id} is outside the table of {rows} rows"),
        None => Ok(()),
    }
}

fn look_up(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let [_, width] = table.dims()?;
    let shape = [ids.shape(), &[width]].concat();
    match table.device() {
        Device::Cpu => Tensor::from_f32_as(cpu::embedding(width, &table.f32s()?, ids.i32s()?), &shape, table.dtype()),
        Device::Cuda(device) => cuda::embedding(&device, table, ids, &shape),
    }
}

fn join(parts: &[Tensor], axis: usize) -> Result<Tensor> {
    let mut shape = parts[0].shape().to_vec();
    Geometry::new("concat", &shape, axis)?;
    for part in &parts[1..] {
        let agree = part.rank() == shape.len() && (0..shape.len()).all(|i| i == axis || part.dim(i) == shape[i]) && part.dtype() == parts[0].dtype();
        ensure!(agree, "concat along axis {axis}: {:?} and {part:?} differ in more than that size", parts[0]);
        shape[axis] += part.dim(axis);
    }
    let geometry = Geometry::new("concat", &shape, axis)?;
    match parts[0].device() {
        Device::Cpu => Tensor::new(cpu::concat(geometry, parts)?, &shape),
        Device::Cuda(device) => cuda::concat(&device, geometry, parts, &shape),
    }
}

fn cut(x: &Tensor, axis: usize, start: usize, length: usize) -> Result<Tensor> {
    let geometry = Geometry::new("narrow", x.shape(), axis)?;
    ensure!(
        start.checked_add(length).is_some_and(|end| end <= geometry.size),
        "narrow: elements {start} to {start} + {length} of axis {axis} are not all in shape {:?}",
        x.shape()
    );
    let mut shape = x.shape().to_vec();
    shape[axis] = length;
    if length == geometry.size {
        return Ok(x.clone());
    }
    match x.device() {
        Device::Cpu => Tensor::new(cpu::narrow(geometry, x, start, length)?, &shape),
        Device::Cuda(device) => cuda::narrow(&device, geometry, x, start, length, &shape),
    }
}
