//! Copies of runs of bytes, and rows of a table (`kernels/shape.cu`).

use super::Geometry;
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::tensor::{DType, Tensor, scratch};

/// A run of bytes in each of `outer` rows: where it starts and how far rows are apart, in the source and in the destination.
struct Copy {
    outer: usize,
    run: usize,
    from: [usize; 2],
    to: [usize; 2],
}

impl Copy {
    fn run(&self, device: &Cuda, x: &Tensor, output: &Tensor) -> Result<()> {
        let sizes = [self.run, self.from[1], self.from[0], self.to[1], self.to[0]];
        let unit = unit(&sizes);
        if self.outer * self.run == 0 {
            return Ok(());
        }
        let launch = Launch::new(device, "shape_copy", DType::F32).grid((self.outer * self.run / unit).div_ceil(256), 1, 1).threads(256);
        sizes.iter().fold(launch.tensor(x).tensor(output).int(unit).int(self.outer), |launch, size| launch.int(size / unit)).run()
    }
}

/// The most bytes that divide all sizes and move at once.
fn unit(sizes: &[usize]) -> usize {
    [16, 4, 2].into_iter().find(|unit| sizes.iter().all(|size| size % unit == 0)).unwrap_or(2)
}

/// Joins `parts`, each `[outer, its size, inner]`, to `geometry`.
pub(super) fn concat(device: &Cuda, geometry: Geometry, parts: &[Tensor], shape: &[usize]) -> Result<Tensor> {
    let output = scratch(device, shape, parts[0].dtype())?;
    let bytes = output.dtype().bytes();
    let row = geometry.size * geometry.inner * bytes;
    let mut start = 0;
    for part in parts {
        let run = part.elements() / geometry.outer.max(1) * bytes;
        Copy { outer: geometry.outer, run, from: [0, run], to: [start, row] }.run(device, part, &output)?;
        start += run;
    }
    Ok(output)
}

/// Elements `start .. start + length` of the middle axis.
pub(super) fn narrow(device: &Cuda, geometry: Geometry, x: &Tensor, start: usize, length: usize, shape: &[usize]) -> Result<Tensor> {
    let output = scratch(device, shape, x.dtype())?;
    let unit = geometry.inner * x.dtype().bytes();
    let run = length * unit;
    Copy { outer: geometry.outer, run, from: [start * unit, geometry.size * unit], to: [0, run] }.run(device, x, &output)?;
    Ok(output)
}

/// The transpose of [`narrow`]: `gradient` with zeros around it.
pub(super) fn narrow_backward(device: &Cuda, geometry: Geometry, gradient: &Tensor, start: usize, length: usize, shape: &[usize]) -> Result<Tensor> {
    let output = scratch(device, shape, gradient.dtype())?;
    let bytes = geometry.inner * gradient.dtype().bytes();
    let sizes = [length * bytes, geometry.size * bytes, start * bytes];
    if output.elements() > 0 {
        let unit = unit(&sizes);
        let launch = Launch::new(device, "shape_pad", DType::F32).grid((geometry.outer * sizes[1] / unit).div_ceil(256), 1, 1).threads(256);
        let launch = launch.tensor(gradient).tensor(&output).int(unit).int(geometry.outer);
        sizes.iter().fold(launch, |launch, size| launch.int(size / unit)).run()?;
    }
    Ok(output)
}

/// Rows of the table; the ids are in range.
pub(super) fn embedding(device: &Cuda, table: &Tensor, ids: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let output = scratch(device, shape, table.dtype())?;
    let launch = Launch::new(device, "embedding_forward", table.dtype()).grid(ids.elements(), 1, 1).threads(256);
    if output.elements() > 0 {
        launch.tensor(table).tensor(ids).tensor(&output).int(table.dim(1)).run()?;
    }
    Ok(output)
}

/// Adds each gradient row to its table row, in the order of the ids.
pub(super) fn embedding_backward(device: &Cuda, ids: &Tensor, gradient: &Tensor, shape: [usize; 2]) -> Result<Tensor> {
    let output = scratch(device, &shape, gradient.dtype())?;
    if output.elements() > 0 {
        let launch = Launch::new(device, "embedding_gradient", gradient.dtype()).grid(shape[0], 1, 1).threads(256);
        launch.tensor(ids).tensor(gradient).tensor(&output).int(ids.elements()).int(shape[1]).run()?;
    }
    Ok(output)
}
