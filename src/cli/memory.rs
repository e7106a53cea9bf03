//! How much memory a training wants, and how much there is for it.

use crate::device::Device;
use crate::error::Result;
use crate::process;
use crate::training::embeddings::Footprint;

/// Bytes that a training holds at most: on a GPU those of its tensors.
pub(super) fn wanted(footprint: &Footprint, on_cpu: bool) -> usize {
    footprint.total() + if on_cpu { footprint.beside_on_cpu() } else { 0 }
}

/// Bytes that a training may come to hold: on the CPU what the process holds already is its own. `None` where the system does not say.
pub(super) fn left(device: Device) -> Result<Option<usize>> {
    match device {
        Device::Cpu => Ok(process::available_bytes().map(|bytes| (bytes + process::private_bytes().unwrap_or(0)) as usize)),
        Device::Cuda(cuda) => cuda.free_bytes().map(Some),
    }
}

/// For a sentence.
pub(super) fn gigabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e9
}
