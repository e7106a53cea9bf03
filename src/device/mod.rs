//! Where bytes live: the device an op runs on and the storage that holds a tensor's elements.

pub mod cpu;
pub mod cuda;
mod dtype;

use std::fmt;

pub use dtype::DType;

use crate::error::Result;
use crate::invalid_input;
use cpu::CpuStorage;

/// A device that tensors live on and ops run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The host's processor, all threads of the rayon pool.
    #[default]
    Cpu,
}

impl Device {
    /// Reads `auto | cpu | cuda[:n]`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "auto" | "cpu" => Ok(Self::Cpu),
            cuda if cuda == "cuda" || cuda.starts_with("cuda:") => {
                invalid_input!("--device {cuda}: this version computes on the CPU only, the CUDA engine is not part of it yet; use --device cpu")
            }
            other => invalid_input!("--device {other}: expected auto, cpu, cuda or cuda:N"),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => formatter.write_str("cpu"),
        }
    }
}

/// The elements of a tensor, on the device that holds them.
#[derive(Debug)]
pub enum Storage {
    /// In the host's memory.
    Cpu(CpuStorage),
}

impl Storage {
    /// The device that holds the elements.
    pub fn device(&self) -> Device {
        match self {
            Self::Cpu(_) => Device::Cpu,
        }
    }
}
