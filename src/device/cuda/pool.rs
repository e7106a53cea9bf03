//! Memory that tensors gave back, kept for the next ones of their size: once a step has run, its like allocates nothing from the driver.
//!
//! All work of a GPU is in the order of its one stream, so a block is free for the next tensor as soon as the last kernel that uses it is queued. Sizes
//! are rounded up to one of eight to a doubling, at most an eighth more than was asked for. While a graph is captured (`graph.rs`) blocks go over into the
//! graph's reserve and stay there until the graph is gone, since it uses their addresses whenever it is replayed.

use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use cudarc::driver::{CudaSlice, DriverError};

use super::context::Cuda;
use super::failure::is_out_of_memory;
use crate::device::Storage;
use crate::error::{Error, MemoryFull, Result, bail};

/// Set to 0 to give every tensor's memory back to the driver at once, so that compute-sanitizer and the emulated device see what is used after its end.
const POOL_VARIABLE: &str = "ANODIFF_POOL";
/// The least that is allocated, which is also the driver's alignment.
const LEAST: usize = 512;

/// Whether freed memory is kept.
pub(super) fn is_on() -> bool {
    static ON: LazyLock<bool> = LazyLock::new(|| std::env::var_os(POOL_VARIABLE).is_none_or(|value| value != "0"));
    *ON
}

/// Unused blocks by their size.
type Idle = BTreeMap<usize, Vec<CudaSlice<u8>>>;

/// A GPU's unused blocks, and the capture that goes on.
#[derive(Default)]
pub(super) struct Pool {
    idle: Idle,
    capture: Option<Capture>,
    /// Bytes of all blocks, used and unused, that are the driver's, and the most that there were.
    held: usize,
    peak: usize,
    /// How often the driver had no memory and got the unused blocks.
    evictions: u64,
}

/// A capture that goes on.
struct Capture {
    thread: ThreadId,
    reserve: Arc<Reserve>,
    externals: Vec<Arc<Storage>>,
}

/// The blocks of one graph: nobody else gets them before the graph and all tensors in them are gone.
pub(super) struct Reserve {
    cuda: Cuda,
    idle: Mutex<Idle>,
}

/// Memory of one tensor; when dropped it is kept for the next one of its size.
pub(super) struct Block {
    cuda: Cuda,
    memory: ManuallyDrop<CudaSlice<u8>>,
    reserve: Option<Arc<Reserve>>,
}

/// The size of the block for so many bytes.
fn rounded(bytes: usize) -> usize {
    let bytes = bytes.max(LEAST);
    bytes.next_multiple_of(LEAST.max((bytes + 1).next_power_of_two() >> 4))
}

fn take(idle: &mut Idle, size: usize) -> Option<CudaSlice<u8>> {
    idle.get_mut(&size).and_then(Vec::pop)
}

fn keep(idle: &mut Idle, memory: CudaSlice<u8>) {
    idle.entry(memory.len()).or_default().push(memory);
}

impl Block {
    /// Memory for at least so many bytes, with whatever it holds.
    ///
    /// # Errors
    /// When the GPU's memory is full (exit code 2); while a graph is captured, when its first run left no block of this size.
    pub(super) fn new(cuda: Cuda, bytes: usize) -> Result<Self> {
        let size = if is_on() { rounded(bytes) } else { bytes.max(1) };
        let mut pool = cuda.pool();
        if let Some(Capture { thread, reserve, .. }) = &pool.capture {
            if *thread != thread::current().id() {
                bail!("{cuda}: two threads use it while one of them captures a graph");
            }
            let reserve = Arc::clone(reserve);
            let Some(memory) = take(&mut reserve.idle(), size).or_else(|| take(&mut pool.idle, size)) else {
                bail!("{cuda}: a captured step wants {bytes} bytes that the step before it did not");
            };
            return Ok(Self { cuda, memory: ManuallyDrop::new(memory), reserve: Some(reserve) });
        }
        let memory = match take(&mut pool.idle, size) {
            Some(memory) => memory,
            None => pool.grow(cuda, size)?,
        };
        Ok(Self { cuda, memory: ManuallyDrop::new(memory), reserve: None })
    }

    /// Whether it belongs to a graph.
    fn is_reserved_by(&self, reserve: &Arc<Reserve>) -> bool {
        self.reserve.as_ref().is_some_and(|own| Arc::ptr_eq(own, reserve))
    }
}

fn refusal(cuda: Cuda, bytes: usize, error: DriverError) -> Error {
    if !is_out_of_memory(error) {
        return cuda.error("getting memory", error);
    }
    memory_full(cuda, &format!("{} MiB wanted", bytes.div_ceil(1 << 20)))
}

fn memory_full(cuda: Cuda, wish: &str) -> Error {
    let free = cuda.free_bytes().unwrap_or(0);
    let properties = cuda.properties();
    Error::new(MemoryFull(format!(
        "the memory of {cuda} ({}) is full: {wish}, {} of {} MiB free; use a smaller --batch-size or --resolution, --dtype f16, or --device cpu",
        properties.name,
        free >> 20,
        properties.memory >> 20
    )))
}

impl Cuda {
    /// The most bytes of its memory that the program has had for tensors at once since [`Cuda::reset_peak_memory`]: used ones, and unused ones that are kept
    /// for the next. The driver's own needs (context, loaded kernels, some hundred MB) are not in it.
    pub fn peak_memory(&self) -> usize {
        self.pool().peak
    }

    /// How often the driver's memory was full so far and unused blocks were given back to it.
    pub(crate) fn evictions(&self) -> u64 {
        self.pool().evictions
    }

    /// What to say where there is room for a step, but not for all of its blocks at once, which a captured one keeps.
    pub(crate) fn no_room_to_capture(&self) -> Error {
        memory_full(*self, "a step that is done again and again wants more than one alone")
    }

    /// Gives unused memory back to the driver and counts the peak anew from what is used now.
    pub fn reset_peak_memory(&self) {
        let mut pool = self.pool();
        pool.give_back();
        pool.peak = pool.held;
    }
}

impl Deref for Block {
    type Target = CudaSlice<u8>;

    fn deref(&self) -> &CudaSlice<u8> {
        &self.memory
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: nothing uses the field after this.
        let memory = unsafe { ManuallyDrop::take(&mut self.memory) };
        match &self.reserve {
            _ if !is_on() => {
                self.cuda.pool().held -= memory.len();
                drop(memory);
            }
            Some(reserve) => keep(&mut reserve.idle(), memory),
            None => keep(&mut self.cuda.pool().idle, memory),
        }
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes on {}", self.memory.len(), self.cuda)
    }
}

impl Reserve {
    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut *self.idle());
        let mut pool = self.cuda.pool();
        idle.into_values().flatten().for_each(|memory| keep(&mut pool.idle, memory));
    }
}

impl Pool {
    /// A new block from the driver; when its memory is full the unused blocks go back to it first.
    fn grow(&mut self, cuda: Cuda, size: usize) -> Result<CudaSlice<u8>> {
        // SAFETY: bytes of any value are valid elements, and outputs are written before they are read.
        let allocate = || unsafe { cuda.stream().alloc::<u8>(size) };
        let memory = match allocate() {
            Err(error) if is_out_of_memory(error) && !self.idle.is_empty() => {
                self.give_back();
                self.evictions += 1;
                // The driver has the memory when the stream is there.
                cuda.stream().synchronize().map_err(|error| cuda.error("waiting for the GPU", error))?;
                allocate()
            }
            first => first,
        };
        let memory = memory.map_err(|error| refusal(cuda, size, error))?;
        self.held += memory.len();
        self.peak = self.peak.max(self.held);
        Ok(memory)
    }

    /// Gives all unused blocks to the driver.
    fn give_back(&mut self) {
        for memory in std::mem::take(&mut self.idle).into_values().flatten() {
            self.held -= memory.len();
            drop(memory);
        }
    }

    /// From here on this thread's blocks come from `Reserve`.
    pub(super) fn begin_capture(&mut self, cuda: Cuda) -> Result<()> {
        if self.capture.is_some() {
            bail!("{cuda}: a graph is being captured already");
        }
        let reserve = Arc::new(Reserve { cuda, idle: Mutex::default() });
        self.capture = Some(Capture { thread: thread::current().id(), reserve, externals: Vec::new() });
        Ok(())
    }

    /// The graph's own blocks, and all other memory that its kernels use.
    pub(super) fn end_capture(&mut self) -> Option<(Arc<Reserve>, Vec<Arc<Storage>>)> {
        self.capture.take().map(|capture| (capture.reserve, capture.externals))
    }

    /// Whether a graph is being captured.
    pub(super) fn is_capturing(&self) -> bool {
        self.capture.is_some()
    }

    /// Lets the graph that is being captured keep what a kernel of it uses.
    pub(super) fn hold(&mut self, used: &[Arc<Storage>]) {
        let Some(capture) = &mut self.capture else { return };
        let outside = |storage: &&Arc<Storage>| match &***storage {
            Storage::Cuda(memory) => !memory.block().is_reserved_by(&capture.reserve),
            Storage::Cpu(_) => false,
        };
        capture.externals.extend(used.iter().filter(outside).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn sizes_are_rounded_by_an_eighth_at_most() {
        for (bytes, expected) in
            [(0, 512), (1, 512), (513, 1024), (8192, 8192), (8193, 9216), (1 << 20, 1 << 20), ((1 << 20) + 1, (1 << 20) + (1 << 17))]
        {
            assert_eq!(rounded(bytes), expected, "{bytes}");
        }
        for bytes in (1..2_000_000).step_by(977) {
            let size = rounded(bytes);
            assert!(size >= bytes && (size - bytes) * 8 <= size.max(8 * super::LEAST), "{bytes} became {size}");
            assert_eq!(rounded(size), size);
        }
    }
}
