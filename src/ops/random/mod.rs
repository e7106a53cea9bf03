//! Random numbers where they are needed: bit for bit the same on every device ([`crate::tensor::random`]).

mod cuda;
#[cfg(test)]
mod tests;

use crate::device::Device;
use crate::device::cpu::Buffer;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::random::Stream;

/// Standard normal numbers, each sample's from its own stream: `[streams, ..sample]` in f32 on `device`.
pub fn normal(streams: &[Stream], sample: &[usize], device: Device) -> Result<Tensor> {
    let shape = [&[streams.len()], sample].concat();
    match device {
        Device::Cuda(cuda) => cuda::normal(&cuda, streams, &shape),
        Device::Cpu => {
            let size: usize = sample.iter().product();
            let mut numbers = Buffer::scratch(streams.len() * size);
            for (stream, part) in streams.iter().zip(numbers.chunks_mut(size.max(1))) {
                stream.fill_normal(part);
            }
            Tensor::from_f32(numbers, &shape)
        }
    }
}

/// The words that name each stream to a kernel, key first: i32 `[streams, 4]` on `device`.
pub(crate) fn names(streams: &[Stream], device: Device) -> Result<Tensor> {
    let words = streams.iter().flat_map(|stream| [stream.key, stream.nonce].concat()).map(u32::cast_signed);
    Tensor::from_i32(words.collect::<Vec<_>>(), &[streams.len(), 4])?.to_device(device)
}
