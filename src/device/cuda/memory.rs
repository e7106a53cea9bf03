//! A tensor's elements in a GPU's memory. Memory comes from the driver's pool in the order of the stream: it may be given to the next tensor as soon as
//! the last kernel that uses it is queued, with no waiting.

use bytemuck::Pod;
use cudarc::driver::{CudaSlice, DevicePtr};

use super::context::Cuda;
use super::failure::is_out_of_memory;
use crate::device::DType;
use crate::device::cpu::{Buffer, CpuStorage, Element};
use crate::error::Result;
use crate::input_error;

/// The elements of a tensor in a GPU's memory.
#[derive(Debug)]
pub struct CudaStorage {
    cuda: Cuda,
    memory: CudaSlice<u8>,
    dtype: DType,
    elements: usize,
}

impl CudaStorage {
    /// Memory for so many elements, with whatever it holds: for outputs that are written whole.
    ///
    /// # Errors
    /// When the GPU's memory is full (exit code 2).
    pub fn scratch(cuda: Cuda, elements: usize, dtype: DType) -> Result<Self> {
        let bytes = elements * dtype.bytes();
        // SAFETY: bytes of any value are valid elements, and outputs are written before they are read.
        let memory = unsafe { cuda.stream().alloc::<u8>(bytes.max(1)) };
        let memory = memory.map_err(|error| {
            if !is_out_of_memory(error) {
                return cuda.error("getting memory", error);
            }
            let free = cuda.context().mem_get_info().map_or(0, |(free, _)| free);
            let properties = cuda.properties();
            input_error!(
                "the memory of {cuda} ({}) is full: {} MiB wanted, {} of {} MiB free; use a smaller --batch-size or --resolution, --dtype f16, or --device cpu",
                properties.name,
                bytes.div_ceil(1 << 20),
                free >> 20,
                properties.memory >> 20
            )
        })?;
        Ok(Self { cuda, memory, dtype, elements })
    }

    /// A copy of elements in host memory.
    pub fn upload(cuda: Cuda, host: &CpuStorage) -> Result<Self> {
        match host {
            CpuStorage::F32(buffer) => Self::of_slice(cuda, buffer, DType::F32),
            CpuStorage::F16(buffer) => Self::of_slice(cuda, buffer, DType::F16),
            CpuStorage::BF16(buffer) => Self::of_slice(cuda, buffer, DType::BF16),
            CpuStorage::I32(buffer) => Self::of_slice(cuda, buffer, DType::I32),
        }
    }

    fn of_slice<T: Pod>(cuda: Cuda, elements: &[T], dtype: DType) -> Result<Self> {
        let mut storage = Self::scratch(cuda, elements.len(), dtype)?;
        if !elements.is_empty() {
            // The driver has taken the elements out of pageable memory when this returns.
            let copied = cuda.stream().memcpy_htod(bytemuck::cast_slice::<T, u8>(elements), &mut storage.memory);
            copied.map_err(|error| cuda.error("copying to the GPU", error))?;
        }
        Ok(storage)
    }

    /// A copy in host memory. Waits for the work that makes the elements.
    ///
    /// # Errors
    /// When a kernel before failed.
    pub fn download(&self) -> Result<CpuStorage> {
        Ok(match self.dtype {
            DType::F32 => CpuStorage::F32(self.to_buffer()?),
            DType::F16 => CpuStorage::F16(self.to_buffer()?),
            DType::BF16 => CpuStorage::BF16(self.to_buffer()?),
            DType::I32 => CpuStorage::I32(self.to_buffer()?),
        })
    }

    fn to_buffer<T: Element + Pod>(&self) -> Result<Buffer<T>> {
        let mut buffer = Buffer::<T>::scratch(self.elements);
        if self.elements > 0 {
            let view = self.memory.slice(..self.elements * self.dtype.bytes());
            let copied = self.cuda.stream().memcpy_dtoh(&view, bytemuck::cast_slice_mut::<T, u8>(&mut buffer));
            copied.map_err(|error| self.cuda.error("copying from the GPU", error))?;
            self.cuda.synchronize()?;
        }
        Ok(buffer)
    }

    /// The GPU that holds the elements.
    pub fn cuda(&self) -> Cuda {
        self.cuda
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.elements
    }

    pub(super) fn address(&self) -> u64 {
        self.memory.device_ptr(self.cuda.stream()).0
    }
}
