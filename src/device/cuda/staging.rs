//! Weights on their way from a file to a GPU: through pinned buffers and a stream of their own, so that the next piece is read and converted while
//! the piece before it is copied. However large a tensor is, only the buffers are pinned.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream, DriverError, result};

use super::context::Cuda;
use super::failure::{is_out_of_memory, sentence};
use super::memory::CudaStorage;
use crate::device::DType;
use crate::error::{Result, ensure};
use crate::input_error;

/// One is filled while the other is copied.
const BUFFERS: usize = 2;

/// Pinned buffers of one GPU. They are given back when it is dropped, after the last copy.
pub struct Staging {
    cuda: Cuda,
    stream: Arc<CudaStream>,
    /// In the order of the GPU's work: where a tensor got its memory.
    allocated: CudaEvent,
    buffers: [Pinned; BUFFERS],
    next: usize,
}

/// Host memory that the GPU copies from by itself, and when it has done so.
struct Pinned {
    memory: NonNull<u8>,
    bytes: usize,
    copied: CudaEvent,
}

// SAFETY: the memory belongs to the whole process, and only the owner hands it out.
unsafe impl Send for Pinned {}

impl Staging {
    /// Buffers of so many bytes each.
    ///
    /// # Errors
    /// When the system does not let so much memory be pinned (exit code 2).
    pub fn new(cuda: Cuda, bytes: usize) -> Result<Self> {
        let made = || {
            let context = cuda.context();
            let buffers = [Pinned::new(cuda, bytes)?, Pinned::new(cuda, bytes)?];
            Ok(Self { cuda, stream: context.new_stream()?, allocated: context.new_event(None)?, buffers, next: 0 })
        };
        made().map_err(|error| match error {
            error if is_out_of_memory(error) => input_error!(
                "cannot pin {} KiB of host memory, through which weights go to {cuda}: {}; free host memory or raise the limit of locked memory (ulimit -l)",
                BUFFERS * bytes.div_ceil(1 << 10),
                sentence(error)
            ),
            error => cuda.error("making buffers for weights", error),
        })
    }

    /// A tensor in the GPU's memory that `fill(position, piece)` writes piece by piece: the elements from `position` on. A piece holds whole rows of so
    /// many elements. Returns while the last pieces are on their way; what the GPU is asked for afterwards sees all of them.
    ///
    /// # Errors
    /// When the GPU's memory is full or a row is larger than a buffer (exit code 2), and what `fill` gives.
    pub fn upload(&mut self, elements: usize, row: usize, dtype: DType, mut fill: impl FnMut(usize, &mut [u8]) -> Result<()>) -> Result<CudaStorage> {
        self.cuda.outside_of_captures("a copy from the host")?;
        let (size, room) = (row * dtype.bytes(), self.buffers[0].bytes);
        if size > room {
            return Err(input_error!("weights go to {} by rows, expected rows of at most {room} bytes, found {size}", self.cuda));
        }
        ensure!(size > 0 && elements.is_multiple_of(row), "{elements} elements are no whole rows of {row}");
        let storage = CudaStorage::scratch(self.cuda, elements, dtype)?;
        // Before, the memory may have been that of a tensor whose work is still going on.
        self.queued(|staging| staging.allocated.record(staging.cuda.stream()).and_then(|()| staging.stream.wait(&staging.allocated)))?;
        let piece = room / size * row;
        for position in (0..elements).step_by(piece) {
            let bytes = piece.min(elements - position) * dtype.bytes();
            let buffer = &mut self.buffers[self.next];
            buffer.copied.synchronize().map_err(|error| self.cuda.error("waiting for a copy of weights", error))?;
            // SAFETY: the GPU has copied what the buffer held.
            fill(position, unsafe { buffer.slice(bytes) })?;
            self.copy(&storage, position * dtype.bytes(), bytes)?;
        }
        Ok(storage)
    }

    /// Queues the copy of the next buffer. Every piece is waited for by itself: when a later one fails, the tensor's memory goes back to the pool.
    fn copy(&mut self, storage: &CudaStorage, offset: usize, bytes: usize) -> Result<()> {
        let number = self.next;
        self.next = (number + 1) % BUFFERS;
        self.queued(|staging| {
            let buffer = &mut staging.buffers[number];
            // SAFETY: the storage has room for the bytes behind the offset. The buffer is neither written nor freed before `copied`.
            unsafe { result::memcpy_htod_async(storage.address() + offset as u64, buffer.slice(bytes), staging.stream.cu_stream()) }?;
            buffer.copied.record(&staging.stream)?;
            staging.cuda.stream().wait(&buffer.copied)
        })
    }

    fn queued(&mut self, call: impl FnOnce(&mut Self) -> Result<(), DriverError>) -> Result<()> {
        let cuda = self.cuda;
        cuda.context().bind_to_thread().and_then(|()| call(self)).map_err(|error| cuda.error("copying weights to the GPU", error))
    }
}

impl fmt::Debug for Staging {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{BUFFERS} pinned buffers of {} bytes for {}", self.buffers[0].bytes, self.cuda)
    }
}

impl Pinned {
    fn new(cuda: Cuda, bytes: usize) -> Result<Self, DriverError> {
        let copied = cuda.context().new_event(None)?;
        // SAFETY: the context is bound by the call before; the memory is as large as it says, and zeroed before anything reads it.
        let memory = unsafe {
            let memory = result::malloc_host(bytes, 0)?.cast::<u8>();
            memory.write_bytes(0, bytes);
            NonNull::new_unchecked(memory)
        };
        Ok(Self { memory, bytes, copied })
    }

    /// The first bytes.
    ///
    /// # Safety
    /// No copy out of the buffer may be under way while they are written.
    unsafe fn slice(&mut self, bytes: usize) -> &mut [u8] {
        assert!(bytes <= self.bytes, "{bytes} of {} bytes", self.bytes);
        // SAFETY: the memory is alive, as large as was asserted, and initialised.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // An error here has shown itself in the work that led to it, or will in the next.
        let _ = self.copied.synchronize();
        // SAFETY: the driver made the memory, and no copy uses it any more.
        let _ = unsafe { result::free_host(self.memory.as_ptr().cast()) };
    }
}
