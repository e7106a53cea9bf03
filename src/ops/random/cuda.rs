//! One launch for all samples (`kernels/random.cu`).

use super::names;
use crate::device::Device;
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::tensor::random::Stream;
use crate::tensor::{DType, Tensor, scratch};

/// Numbers of a block: 256 threads with the four of one block of Philox each.
const BLOCK: usize = 256 * 4;

pub(super) fn normal(cuda: &Cuda, streams: &[Stream], shape: &[usize]) -> Result<Tensor> {
    let (names, numbers) = (names(streams, Device::Cuda(*cuda))?, scratch(cuda, shape, DType::F32)?);
    let size: usize = shape[1..].iter().product();
    let launch = Launch::new(cuda, "random_normal", DType::F32).grid(size.div_ceil(BLOCK), streams.len(), 1);
    launch.tensor(&names).tensor(&numbers).int(size).run()?;
    Ok(numbers)
}
