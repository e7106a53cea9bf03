//! A tensor's elements in a GPU's memory, and copies between there and the host.

use std::cell::Cell;

use bytemuck::Pod;
use cudarc::driver::{DevicePtr, DriverError, result, sys};

use super::context::Cuda;
use super::pool::Block;
use crate::device::DType;
use crate::device::cpu::{Buffer, CpuStorage, Element};
use crate::error::{Result, ensure};

thread_local! {
    static POISONED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, in which all memory that this thread gets on a GPU holds no numbers (every bit is set). Where kernels are judged: memory is used again, so what
/// a wrong kernel leaves out could else hold what a right one has written.
pub fn poisoned<T>(f: impl FnOnce() -> T) -> T {
    let before = POISONED.replace(true);
    let result = f();
    POISONED.set(before);
    result
}

impl Cuda {
    /// Queues writes to memory that nobody uses, twice as much as the second-level cache holds: nothing that came before is in there then.
    ///
    /// # Errors
    /// When the GPU's memory is full (exit code 2).
    pub fn flush_cache(&self) -> Result<()> {
        CudaStorage::scratch(*self, 2 * self.properties().cache / DType::I32.bytes(), DType::I32)?.fill(0)
    }
}

/// The elements of a tensor in a GPU's memory.
#[derive(Debug)]
pub struct CudaStorage {
    cuda: Cuda,
    memory: Block,
    dtype: DType,
    elements: usize,
}

impl CudaStorage {
    /// Memory for so many elements, with whatever it holds: for outputs that are written whole.
    ///
    /// # Errors
    /// When the GPU's memory is full (exit code 2).
    pub fn scratch(cuda: Cuda, elements: usize, dtype: DType) -> Result<Self> {
        let storage = Self { cuda, memory: Block::new(cuda, elements * dtype.bytes())?, dtype, elements };
        if POISONED.get() && elements > 0 {
            // SAFETY: the memory has so many bytes.
            storage.queued("writing on the GPU", |stream| unsafe {
                sys::cuMemsetD8Async(storage.address(), u8::MAX, elements * dtype.bytes(), stream).result()
            })?;
        }
        Ok(storage)
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
        cuda.outside_of_captures("a copy from the host")?;
        let storage = Self::scratch(cuda, elements.len(), dtype)?;
        if !elements.is_empty() {
            // SAFETY: the memory has room for the elements; the driver has taken them out of pageable memory when this returns.
            storage.queued("copying to the GPU", |stream| unsafe {
                result::memcpy_htod_async(storage.address(), bytemuck::cast_slice::<T, u8>(elements), stream)
            })?;
        }
        Ok(storage)
    }

    /// Replaces the elements, for everyone who holds them, by those of `other` on the same GPU. Tensors never change: this is for what a graph reads.
    pub(crate) fn overwrite(&self, other: &Self) -> Result<()> {
        let (same, bytes) =
            (self.elements == other.elements && self.dtype == other.dtype && self.cuda == other.cuda, self.elements * self.dtype.bytes());
        ensure!(same, "{} {} on {} do not fit {} {} on {}", other.elements, other.dtype, other.cuda, self.elements, self.dtype, self.cuda);
        if bytes > 0 && self.address() != other.address() {
            // SAFETY: both have so many bytes and are alive; what frees them is queued after this.
            self.queued("copying on the GPU", |stream| unsafe { result::memcpy_dtod_async(self.address(), other.address(), bytes, stream) })?;
        }
        Ok(())
    }

    /// Sets every element, for everyone who holds them, to a whole number; as [`CudaStorage::overwrite`].
    pub(crate) fn fill(&self, value: i32) -> Result<()> {
        ensure!(self.dtype == DType::I32, "expected whole numbers, found {}", self.dtype);
        // SAFETY: the memory has so many elements of four bytes.
        self.queued("writing on the GPU", |stream| unsafe {
            sys::cuMemsetD32Async(self.address(), value.cast_unsigned(), self.elements, stream).result()
        })
    }

    fn queued(&self, what: &str, call: impl FnOnce(sys::CUstream) -> Result<(), DriverError>) -> Result<()> {
        let queued = self.cuda.context().bind_to_thread().and_then(|()| call(self.cuda.stream().cu_stream()));
        queued.map_err(|error| self.cuda.error(what, error))
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
        self.cuda.outside_of_captures("a copy to the host")?;
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

    pub(super) fn block(&self) -> &Block {
        &self.memory
    }

    pub(super) fn address(&self) -> u64 {
        self.memory.device_ptr(self.cuda.stream()).0
    }
}
