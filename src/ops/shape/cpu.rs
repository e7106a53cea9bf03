//! Copies of runs of elements, in any element type.

use half::{bf16, f16};

use super::Geometry;
use crate::device::Storage;
use crate::device::cpu::{Buffer, CpuStorage, Element};
use crate::error::{Result, bail};
use crate::ops::parallel;
use crate::tensor::{DType, Tensor};

/// Joins `parts`, each `[outer, its size, inner]`, to `geometry`.
pub(super) fn concat(geometry: Geometry, parts: &[Tensor]) -> Result<CpuStorage> {
    let run = |part: &Tensor| part.elements() / geometry.outer.max(1);
    let runs: Vec<usize> = parts.iter().map(run).collect();
    macro_rules! typed {
        ($variant:ident, $type:ty) => {{
            let mut slices: Vec<&[$type]> = Vec::with_capacity(parts.len());
            for part in parts {
                let Storage::Cpu(CpuStorage::$variant(buffer)) = part.storage() else { bail!("concat: element types differ") };
                slices.push(buffer);
            }
            CpuStorage::$variant(concat_typed(geometry, &slices, &runs))
        }};
    }
    Ok(match parts[0].dtype() {
        DType::F32 => typed!(F32, f32),
        DType::F16 => typed!(F16, f16),
        DType::BF16 => typed!(BF16, bf16),
        DType::I32 => typed!(I32, i32),
    })
}

fn concat_typed<T: Element>(geometry: Geometry, parts: &[&[T]], runs: &[usize]) -> Buffer<T> {
    let row = geometry.size * geometry.inner;
    let mut output = Buffer::scratch(geometry.outer * row);
    let rows = parallel::rows_per_task(row);
    parallel::chunks(&mut output, rows * row, |first, output| {
        for (index, output) in output.chunks_mut(row).enumerate() {
            let outer = first / row + index;
            let mut start = 0;
            for (part, &run) in parts.iter().zip(runs) {
                output[start..start + run].copy_from_slice(&part[outer * run..(outer + 1) * run]);
                start += run;
            }
        }
    });
    output
}

/// Elements `start .. start + length` of the middle axis.
pub(super) fn narrow(geometry: Geometry, x: &Tensor, start: usize, length: usize) -> Result<CpuStorage> {
    let Storage::Cpu(storage) = x.storage() else { bail!("narrow: expected a tensor in host memory") };
    Ok(match storage {
        CpuStorage::F32(buffer) => CpuStorage::F32(narrow_typed(geometry, buffer, start, length)),
        CpuStorage::F16(buffer) => CpuStorage::F16(narrow_typed(geometry, buffer, start, length)),
        CpuStorage::BF16(buffer) => CpuStorage::BF16(narrow_typed(geometry, buffer, start, length)),
        CpuStorage::I32(buffer) => CpuStorage::I32(narrow_typed(geometry, buffer, start, length)),
    })
}

fn narrow_typed<T: Element>(geometry: Geometry, x: &[T], start: usize, length: usize) -> Buffer<T> {
    let (row, run, skipped) = (geometry.size * geometry.inner, length * geometry.inner, start * geometry.inner);
    let mut output = Buffer::scratch(geometry.outer * run);
    parallel::chunks(&mut output, parallel::rows_per_task(run) * run, |first, output| {
        for (index, output) in output.chunks_mut(run).enumerate() {
            let from = (first / run + index) * row + skipped;
            output.copy_from_slice(&x[from..from + run]);
        }
    });
    output
}

/// Rows of the table; the ids are in range.
pub(super) fn embedding(width: usize, table: &[f32], ids: &[i32]) -> Buffer<f32> {
    let mut output = Buffer::scratch(ids.len() * width);
    for (output, &id) in output.chunks_mut(width.max(1)).zip(ids) {
        output.copy_from_slice(&table[id as usize * width..][..width]);
    }
    output
}

/// Adds each gradient row to its table row, in the order of the ids.
pub(super) fn embedding_backward(rows: usize, width: usize, ids: &[i32], gradient: &[f32]) -> Buffer<f32> {
    let mut output = Buffer::zeros(rows * width);
    for (gradient, &id) in gradient.chunks(width.max(1)).zip(ids) {
        output[id as usize * width..][..width].iter_mut().zip(gradient).for_each(|(sum, &share)| *sum += share);
    }
    output
}
