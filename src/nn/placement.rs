//! Where a network computes, and in what.

use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::ops;
use crate::tensor::{DType, Tensor};

/// Device and element type of a network's parameters. Its inputs are brought there at its entrance; its results leave it in f32, on the same device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Where.
    pub device: Device,
    /// In what.
    pub dtype: DType,
}

impl Placement {
    /// f32 in host memory, where every network is when it has been read.
    pub const HOST: Self = Self { device: Device::Cpu, dtype: DType::F32 };

    /// f32 on a device: for what trains, and for networks that are not worth less.
    pub fn f32(device: Device) -> Self {
        Self { device, dtype: DType::F32 }
    }

    /// An input of the network, where and in what the network computes.
    pub fn enter(self, x: &Var) -> Result<Var> {
        ops::place(x, self.device, self.dtype)
    }

    /// A result of the network, in f32.
    pub fn leave(self, x: &Var) -> Result<Var> {
        ops::place(x, self.device, DType::F32)
    }

    /// A value in this place.
    pub fn of(self, tensor: &Tensor) -> Result<Tensor> {
        tensor.to_device(self.device)?.to_dtype(self.dtype)
    }
}
