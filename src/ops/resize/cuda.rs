//! A thread an element that is written (`kernels/resize.cu`).

use super::Geometry;
use super::cpu::Window;
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::tensor::{DType, Tensor, scratch};

fn launch(device: &Cuda, entry: &str, dtype: DType, elements: usize) -> Launch {
    Launch::new(device, entry, dtype).grid(elements.div_ceil(256), 1, 1).threads(256)
}

fn sizes(geometry: Geometry, launch: Launch) -> Launch {
    let Geometry { batch, from, to, channels } = geometry;
    launch.int(batch).int(from[0]).int(from[1]).int(to[0]).int(to[1]).int(channels)
}

/// `<name>_forward` of an op that is linear in x; `extra` are the entry point's last parameters.
pub(super) fn forward(device: &Cuda, name: &str, geometry: Geometry, extra: &[usize], x: &Tensor) -> Result<Tensor> {
    let output = scratch(device, &geometry.output_shape(), x.dtype())?;
    let launch = sizes(geometry, launch(device, &format!("{name}_forward"), x.dtype(), geometry.outputs()).tensor(x).tensor(&output));
    extra.iter().fold(launch, |launch, &value| launch.int(value)).run()?;
    Ok(output)
}

/// `<name>_gradient`: its transpose.
pub(super) fn backward(device: &Cuda, name: &str, geometry: Geometry, extra: &[usize], gradient: &Tensor) -> Result<Tensor> {
    let output = scratch(device, &geometry.input_shape(), gradient.dtype())?;
    let launch = launch(device, &format!("{name}_gradient"), gradient.dtype(), geometry.inputs()).tensor(gradient).tensor(&output);
    extra.iter().fold(sizes(geometry, launch), |launch, &value| launch.int(value)).run()?;
    Ok(output)
}

/// Maxima over windows and, where wanted, the position of each in its sample (i32).
pub(super) fn max_pool(device: &Cuda, geometry: Geometry, window: Window, x: &Tensor, wants_winners: bool) -> Result<(Tensor, Option<Tensor>)> {
    let output = scratch(device, &geometry.output_shape(), x.dtype())?;
    let winners = wants_winners.then(|| scratch(device, &geometry.output_shape(), DType::I32)).transpose()?;
    let launch = launch(device, "max_pool_forward", x.dtype(), geometry.outputs()).tensor(x).tensor(&output).optional(winners.as_ref());
    sizes(geometry, launch).int(window.kernel).int(window.stride).int(window.padding).run()?;
    Ok((output, winners))
}

/// Each gradient goes to its window's winner.
pub(super) fn max_pool_backward(device: &Cuda, geometry: Geometry, window: Window, winners: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let output = scratch(device, &geometry.input_shape(), gradient.dtype())?;
    let launch = launch(device, "max_pool_gradient", gradient.dtype(), geometry.inputs()).tensor(gradient).tensor(winners).tensor(&output);
    sizes(geometry, launch).int(window.kernel).int(window.stride).int(window.padding).run()?;
    Ok(output)
}
