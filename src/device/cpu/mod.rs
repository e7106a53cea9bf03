//! Host memory: typed buffers that are recycled, because fresh pages from the system cost as much as a pass over the data.

pub mod gemm;
pub mod lanes;
pub mod reduce;

use std::collections::BTreeMap;
use std::mem::size_of;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};

use half::{bf16, f16};

use crate::process;

/// The elements of a tensor in host memory.
#[derive(Debug)]
pub enum CpuStorage {
    /// 32-bit floats.
    F32(Buffer<f32>),
    /// IEEE half precision.
    F16(Buffer<f16>),
    /// Brain float: the upper half of an f32.
    BF16(Buffer<bf16>),
    /// 32-bit integers: token ids, time steps.
    I32(Buffer<i32>),
}

impl CpuStorage {
    /// The elements' bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::F32(buffer) => bytemuck::cast_slice(buffer),
            Self::F16(buffer) => bytemuck::cast_slice(buffer),
            Self::BF16(buffer) => bytemuck::cast_slice(buffer),
            Self::I32(buffer) => bytemuck::cast_slice(buffer),
        }
    }
}

/// An element type that buffers can hold and the pool keeps apart.
pub trait Element: Copy + Default + Send + Sync + 'static {
    /// This type's free buffers.
    fn pool() -> &'static Pool<Self>;
}

/// A vector whose memory goes back to the pool when it is dropped.
#[derive(Debug)]
pub struct Buffer<T: Element> {
    elements: Vec<T>,
}

/// Bytes of all buffers there are, and the most that there were at once.
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Bytes of all buffers there are now; free ones in the pools are not among them.
pub fn held_bytes() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// The most bytes that buffers held at once since the last [`reset_peak_bytes`].
pub fn peak_bytes() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// Counts the peak anew from what is held now.
pub fn reset_peak_bytes() {
    PEAK.store(held_bytes(), Ordering::Relaxed);
}

impl<T: Element> Buffer<T> {
    fn holding(elements: Vec<T>) -> Self {
        let bytes = elements.capacity() * size_of::<T>();
        PEAK.fetch_max(HELD.fetch_add(bytes, Ordering::Relaxed) + bytes, Ordering::Relaxed);
        Self { elements }
    }

    /// A buffer of `length` elements with unspecified (but initialised) contents: for outputs that are written whole.
    pub fn scratch(length: usize) -> Self {
        Self::holding(T::pool().take(length))
    }

    /// A buffer of `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let mut buffer = Self::scratch(length);
        buffer.fill(T::default());
        buffer
    }
}

impl<T: Element> From<Vec<T>> for Buffer<T> {
    fn from(elements: Vec<T>) -> Self {
        Self::holding(elements)
    }
}

impl<T: Element> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::scratch(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.elements
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements
    }
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        HELD.fetch_sub(self.elements.capacity() * size_of::<T>(), Ordering::Relaxed);
        T::pool().give(std::mem::take(&mut self.elements));
    }
}

/// Free buffers of one element type, by capacity.
pub struct Pool<T> {
    free: LazyLock<Mutex<Free<T>>>,
}

struct Free<T> {
    by_capacity: BTreeMap<usize, Vec<Vec<T>>>,
    bytes: usize,
}

/// Buffers under this size are left to the allocator, which serves them well.
const SMALLEST_BYTES: usize = 64 << 10;
/// Buffers from this size on are asked for, since the allocator ends the program without a word where memory is full.
const PROBED_BYTES: usize = 1 << 20;
/// What has to be left then for all that is no tensor.
const SPARE_BYTES: usize = 256 << 20;
/// What all free buffers of one element type may hold together.
pub const MOST_FREE_BYTES: usize = 512 << 20;

impl<T: Element> Pool<T> {
    const fn new() -> Self {
        Self { free: LazyLock::new(|| Mutex::new(Free::new())) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Free<T>> {
        self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn take(&self, length: usize) -> Vec<T> {
        let bytes = length * size_of::<T>();
        if bytes >= SMALLEST_BYTES {
            let mut free = self.lock();
            // A buffer up to an eighth larger than needed will do; a much larger one is kept for its own kind.
            let found = free.by_capacity.range(length..=length + length / 8).next().map(|(&capacity, _)| capacity);
            if let Some(capacity) = found {
                let mut elements = free.pop(capacity);
                drop(free);
                elements.resize(length, T::default());
                return elements;
            }
        }
        let is_left = || process::would_get(bytes.saturating_add(SPARE_BYTES));
        if bytes >= PROBED_BYTES && !is_left() {
            *self.lock() = Free::new();
            if !is_left() {
                refused(bytes);
            }
        }
        vec![T::default(); length]
    }

    fn give(&self, mut elements: Vec<T>) {
        let bytes = elements.capacity() * size_of::<T>();
        if !(SMALLEST_BYTES..=MOST_FREE_BYTES / 2).contains(&bytes) {
            return;
        }
        // Length equals capacity while a buffer rests, so that taking it never writes what is already initialised.
        let capacity = elements.capacity();
        if elements.len() < capacity {
            elements.resize(capacity, T::default());
        }
        let mut free = self.lock();
        free.bytes += bytes;
        free.by_capacity.entry(capacity).or_default().push(elements);
        while free.bytes > MOST_FREE_BYTES {
            let Some(&largest) = free.by_capacity.keys().next_back() else { break };
            drop(free.pop(largest));
        }
    }
}

/// Who says that memory is full, and ends the program.
static WHEN_FULL: OnceLock<fn(usize) -> !> = OnceLock::new();

/// Has `last_words` called with the number of bytes wanted when the system refuses memory for a tensor. An op cannot go on without, so there is no return.
/// Without this it panics. The first call counts.
pub fn when_memory_is_full(last_words: fn(usize) -> !) {
    let _ = WHEN_FULL.set(last_words);
}

fn refused(bytes: usize) -> ! {
    match WHEN_FULL.get() {
        Some(last_words) => last_words(bytes),
        None => panic!("memory is full: {bytes} bytes wanted for a tensor"),
    }
}

impl<T> Free<T> {
    const fn new() -> Self {
        Self { by_capacity: BTreeMap::new(), bytes: 0 }
    }

    /// Takes one buffer of a capacity that is known to be present.
    fn pop(&mut self, capacity: usize) -> Vec<T> {
        let Some(list) = self.by_capacity.get_mut(&capacity) else { return Vec::new() };
        let elements = list.pop().unwrap_or_default();
        if list.is_empty() {
            self.by_capacity.remove(&capacity);
        }
        self.bytes -= elements.capacity() * size_of::<T>();
        elements
    }
}

macro_rules! element {
    ($($type:ty),*) => {$(
        impl Element for $type {
            fn pool() -> &'static Pool<Self> {
                static POOL: Pool<$type> = Pool::new();
                &POOL
            }
        }
    )*};
}

element!(f32, f16, bf16, i32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_reused_and_zeros_are_zero() {
        let length = 123_457;
        let mut first = Buffer::<f32>::scratch(length);
        first.fill(7.0);
        drop(first);
        let second = Buffer::<f32>::zeros(length);
        assert_eq!(second.len(), length);
        assert!(second.iter().all(|&value| value == 0.0));
    }
}
