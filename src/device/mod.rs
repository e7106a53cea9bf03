//! Where bytes live: the device an op runs on and the storage that holds a tensor's elements.

pub mod cpu;
pub mod cuda;
mod dtype;
pub mod recording;

use std::fmt;

pub use dtype::DType;

use crate::error::{Error, Result};
use crate::invalid_input;
use cpu::CpuStorage;
use cuda::{Cuda, CudaStorage};

/// A device that tensors live on and ops run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The host's processor, all threads of the rayon pool.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda(Cuda),
}

impl Device {
    /// Reads `auto | cpu | cuda[:n]`; a GPU is opened. `auto` is the first GPU, or the CPU where there is none to be used: see [`Device::automatic`].
    ///
    /// # Errors
    /// When the text is none of these or the GPU cannot be used, in one sentence (exit code 2).
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::automatic().0),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(Cuda::open(0)?)),
            other => match other.strip_prefix("cuda:").and_then(|number| number.parse().ok()) {
                Some(ordinal) => Ok(Self::Cuda(Cuda::open(ordinal)?)),
                None => invalid_input!("--device {other}: expected auto, cpu, cuda or cuda:N"),
            },
        }
    }

    /// Waits until all work on it is done.
    ///
    /// # Errors
    /// When a kernel before failed.
    pub fn synchronize(self) -> Result<()> {
        match self {
            Self::Cpu => Ok(()),
            Self::Cuda(cuda) => cuda.synchronize(),
        }
    }

    /// The first GPU, or the CPU and the reason why no GPU is used.
    pub fn automatic() -> (Self, Option<Error>) {
        match Cuda::open(0) {
            Ok(cuda) => (Self::Cuda(cuda), None),
            Err(reason) => (Self::Cpu, Some(reason)),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(cuda) => cuda.fmt(formatter),
        }
    }
}

/// The elements of a tensor, on the device that holds them.
#[derive(Debug)]
pub enum Storage {
    /// In the host's memory.
    Cpu(CpuStorage),
    /// In a GPU's memory.
    Cuda(CudaStorage),
}

impl Storage {
    /// The device that holds the elements.
    pub fn device(&self) -> Device {
        match self {
            Self::Cpu(_) => Device::Cpu,
            Self::Cuda(storage) => Device::Cuda(storage.cuda()),
        }
    }
}
