//! Launches, checked against the kernel's own parameter list.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use cudarc::driver::result;

use super::arguments::{Argument, Content, Shown, packed};
use super::context::{Cuda, Function};
use super::interval::Interval;
use super::memory::CudaStorage;
use super::sources::{Entry, Kernel, Kind, Parameter, Pointee};
use super::tensor_map::Description;
use crate::device::cpu::{Buffer, CpuStorage};
use crate::device::recording::{self, KernelShape};
use crate::device::{DType, Storage};
use crate::error::{Result, anyhow, bail, ensure};

/// Set to wait after every launch, so that a kernel that fails is named.
const SYNCHRONOUS_VARIABLE: &str = "ANODIFF_SYNC";
/// The largest grid (CUDA programming guide, "Technical specifications").
const LARGEST_GRID: [usize; 3] = [i32::MAX as usize, 65_535, 65_535];
const MOST_THREADS: usize = 1024;

/// Whether every launch is waited for.
pub(super) fn is_synchronous() -> bool {
    static SYNCHRONOUS: LazyLock<bool> = LazyLock::new(|| std::env::var_os(SYNCHRONOUS_VARIABLE).is_some_and(|value| value == "1"));
    *SYNCHRONOUS
}

/// Something whose elements a kernel can be given: a tensor.
pub trait Resident {
    /// What holds the elements, and the shape.
    fn storage_and_shape(&self) -> (Arc<Storage>, Arc<[usize]>);
}

/// One launch: the entry point, its grid and its arguments in the order of its parameters. Mistakes are reported by [`Launch::run`].
///
/// What a kernel writes must be fresh: nothing but the launch may hold on to it, since tensors never change.
#[must_use = "a launch runs when `run` is called"]
pub struct Launch {
    cuda: Cuda,
    name: String,
    found: Result<(&'static Kernel, &'static Entry)>,
    element: DType,
    grid: [usize; 3],
    threads: usize,
    shared: usize,
    arguments: Vec<Argument>,
    /// Keeps the tensors' memory until the launch is queued.
    held: Vec<Arc<Storage>>,
    /// The first mistake.
    mistake: Option<String>,
}

impl Launch {
    /// The launch of `entry`, compiled for `element`.
    pub fn new(cuda: &Cuda, entry: &str, element: DType) -> Self {
        let found = Kernel::of_entry(entry);
        let parameters = found.as_ref().map_or(0, |(_, entry)| entry.parameters.len());
        Self {
            cuda: *cuda,
            name: entry.to_owned(),
            found,
            element,
            grid: [1; 3],
            threads: 256,
            shared: 0,
            arguments: Vec::with_capacity(parameters),
            held: Vec::with_capacity(parameters),
            mistake: None,
        }
    }

    /// Blocks in x, y and z [default: one]. A grid with no block runs nothing.
    pub fn grid(mut self, x: usize, y: usize, z: usize) -> Self {
        self.grid = [x, y, z];
        self
    }

    /// Threads of a block [default: 256].
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Bytes of dynamic shared memory [default: none].
    pub fn shared(mut self, bytes: usize) -> Self {
        self.shared = bytes;
        self
    }

    /// A tensor's address.
    pub fn tensor(self, tensor: &impl Resident) -> Self {
        let (storage, shape) = tensor.storage_and_shape();
        let Storage::Cuda(memory) = &*storage else {
            return self.wrong(format!("the tensor {shape:?} is in host memory"));
        };
        if memory.cuda() != self.cuda {
            let place = memory.cuda();
            return self.wrong(format!("the tensor {shape:?} is on {place}"));
        }
        let bits = memory.address();
        if let Some(Parameter { kind: Kind::Pointer { to, writes }, name }) = self.parameter() {
            let expected = match to {
                Pointee::Element => Some(self.element),
                Pointee::Exactly(dtype) => Some(*dtype),
                Pointee::Bytes => None,
            };
            if let Some(expected) = expected.filter(|expected| *expected != memory.dtype()) {
                let found = memory.dtype();
                return self.wrong(format!("{name} takes {expected}, found {found} {shape:?}"));
            }
            // This function's own reference and the tensor's.
            if *writes && Arc::strong_count(&storage) > 2 {
                return self.wrong(format!("{name} is written to, but other tensors share the elements of {shape:?}"));
            }
        } else {
            return self.wrong(format!("a tensor {shape:?}"));
        }
        let size = (memory.elements() * memory.dtype().bytes()) as u64;
        let mut launch = self.push(bits, Shown::Tensor(shape, size));
        launch.held.push(storage);
        launch
    }

    /// Boxes of a tensor, which the kernel copies into shared memory: `sizes` as the kernel counts the elements and `window` those of a box, both
    /// innermost first. Of f16 or bf16; rows of whole 16 bytes, boxes at most 256 long, 64 innermost.
    pub fn boxes(mut self, tensor: &impl Resident, sizes: &[usize], window: &[usize]) -> Self {
        let (storage, shape) = tensor.storage_and_shape();
        let memory = match (&*storage, self.parameter()) {
            (Storage::Cuda(memory), Some(Parameter { kind: Kind::TensorMap, .. })) if memory.cuda() == self.cuda => memory,
            (other, _) => return self.wrong(format!("boxes of {shape:?} on {}", other.device())),
        };
        if memory.dtype() != self.element || sizes.iter().product::<usize>() != memory.elements() {
            let (found, expected) = (memory.dtype(), self.element);
            return self.wrong(format!("boxes of {found} {shape:?}, expected {expected} {sizes:?}"));
        }
        let Some(description) = Description::new(memory.address(), memory.dtype(), sizes, window) else {
            return self.wrong(format!("boxes {window:?} of {sizes:?}"));
        };
        match description.encode() {
            Ok(map) => {
                let size = (memory.elements() * memory.dtype().bytes()) as u64;
                self.held.push(storage);
                self.arguments.push(Argument { content: Content::Map(Box::new(map)), shown: Shown::Tensor(shape, size) });
                self
            }
            Err(error) => {
                let error = self.cuda.error("describing a tensor", error);
                self.wrong(format!("boxes {window:?} of {sizes:?}: {error:#}"))
            }
        }
    }

    /// The address of a table with the addresses of these tensors; null in the place of one that is not there.
    pub fn tensors<T: Resident>(mut self, tensors: &[Option<&T>]) -> Self {
        let Some(Parameter { kind: Kind::Table { of, writes }, name }) = self.parameter() else {
            return self.wrong(format!("{} tensors", tensors.len()));
        };
        let (cuda, mut addresses) = (self.cuda, Vec::with_capacity(2 * tensors.len()));
        for tensor in tensors {
            let Some((storage, shape)) = tensor.map(Resident::storage_and_shape) else {
                addresses.extend([0, 0]);
                continue;
            };
            let address = match &*storage {
                Storage::Cuda(memory) if memory.cuda() == cuda && memory.dtype() == *of => memory.address(),
                other => return self.wrong(format!("{name} takes {of} on {cuda}, found {shape:?} on {}", other.device())),
            };
            if *writes && Arc::strong_count(&storage) > 2 {
                return self.wrong(format!("{name} is written to, but other tensors share the elements of {shape:?}"));
            }
            addresses.extend([address as u32, (address >> 32) as u32].map(u32::cast_signed));
            self.held.push(storage);
        }
        let mut words = Buffer::scratch(addresses.len());
        words.copy_from_slice(&addresses);
        match CudaStorage::upload(self.cuda, &CpuStorage::I32(words)) {
            Ok(table) => {
                let bits = table.address();
                self.held.push(Arc::new(Storage::Cuda(table)));
                self.push(bits, Shown::Whole(tensors.len() as i64))
            }
            Err(error) => self.wrong(format!("{error:#}")),
        }
    }

    /// A tensor's address, or null.
    pub fn optional(self, tensor: Option<&impl Resident>) -> Self {
        match (tensor, self.parameter().map(|parameter| parameter.kind)) {
            (Some(tensor), _) => self.tensor(tensor),
            (None, Some(Kind::Pointer { .. })) => self.push(0, Shown::Null),
            (None, _) => self.wrong("a null address".to_owned()),
        }
    }

    /// A size: `int`, `unsigned`, `long long`, `unsigned long long` or `size_t`.
    pub fn int(self, value: usize) -> Self {
        let most = match self.parameter().map(|parameter| parameter.kind) {
            Some(Kind::I32) => i32::MAX as usize,
            Some(Kind::U32) => u32::MAX as usize,
            Some(Kind::I64 | Kind::U64) => i64::MAX as usize,
            _ => return self.wrong(format!("the whole number {value}")),
        };
        if value > most {
            return self.wrong(format!("{value}, which is more than it can hold"));
        }
        self.push(value as u64, Shown::Whole(value as i64))
    }

    /// A float.
    pub fn float(self, value: f32) -> Self {
        match self.parameter().map(|parameter| parameter.kind) {
            Some(Kind::F32) => self.push(u64::from(value.to_bits()), Shown::Real(value)),
            _ => self.wrong(format!("the float {value}")),
        }
    }

    /// Two words, `uint2`: key or nonce of a random stream.
    pub fn words(self, value: [u32; 2]) -> Self {
        match self.parameter().map(|parameter| parameter.kind) {
            Some(Kind::U32Pair) => self.push(u64::from(value[0]) | u64::from(value[1]) << 32, Shown::Words),
            _ => self.wrong("two words".to_owned()),
        }
    }

    /// Queues the kernel; returns before it has run.
    ///
    /// # Errors
    /// When an argument does not fit the kernel's parameters, when the kernel does not compile or load here, and when the driver refuses: the message
    /// has the kernel, its grid and block and the shapes. A kernel that fails while it runs shows at the next copy to the host.
    pub fn run(self) -> Result<()> {
        let (kernel, entry) = match &self.found {
            Ok(found) => *found,
            Err(error) => bail!("{error:#}"),
        };
        if let Some(mistake) = &self.mistake {
            bail!("{}: {mistake}", self.described());
        }
        ensure!(self.arguments.len() == entry.parameters.len(), "{}: found {} arguments", self.described(), self.arguments.len());
        if self.grid.contains(&0) {
            return Ok(());
        }
        let fits = self.grid.iter().zip(LARGEST_GRID).all(|(blocks, most)| *blocks <= most) && (1..=MOST_THREADS).contains(&self.threads);
        ensure!(fits, "{}: grids have at most {LARGEST_GRID:?} blocks of at most {MOST_THREADS} threads", self.described());
        let most_shared = self.cuda.properties().shared as usize;
        ensure!(self.shared <= most_shared, "{}: a block has at most {most_shared} bytes of shared memory here", self.described());
        let function = self.cuda.function(kernel, entry, self.element)?;
        let interval = recording::is_on().then(|| Interval::now(&self.cuda)).transpose()?;
        let [x, y, z] = self.grid.map(|blocks| blocks as u32);
        let packed = entry.in_struct.then(|| packed(entry.parameters, &self.arguments));
        let mut pointers = match &packed {
            Some(words) => vec![words.as_ptr().cast_mut().cast()],
            None => self.arguments.iter().map(|argument| argument.content.place()).collect(),
        };
        let queued = self.cuda.context().bind_to_thread().and_then(|()| function.allow_shared(self.shared as u32)).and_then(|()| {
            // SAFETY: the function is loaded for good; number, kind and size of the arguments are those of its declaration, words little endian in eight
            // bytes each, tensor maps as the driver made them, or all of them as the struct that it takes. The memory is alive until the launch is queued, and what frees it is queued on the same stream after that. That the
            // kernel stays inside its tensors is the promise of the op, whose Geometry gave the sizes.
            unsafe {
                let (stream, shared) = (self.cuda.stream().cu_stream(), self.shared as u32);
                result::launch_kernel(function.handle.cu_function(), (x, y, z), (self.threads as u32, 1, 1), shared, stream, &mut pointers)
            }
        });
        queued.map_err(|error| self.cuda.error(&self.described(), error))?;
        self.cuda.pool().hold(&self.held);
        if let Some(interval) = interval {
            interval.end()?;
            self.report(entry, &function, interval);
        }
        if is_synchronous() {
            self.cuda.synchronize().map_err(|error| anyhow!("{}: {error:#}", self.described()))?;
        }
        Ok(())
    }

    /// Tells the recording under way of the launch.
    fn report(&self, entry: &'static Entry, function: &Function, interval: Interval) {
        let (mut bytes, mut numbers) = ([0; 2], Vec::new());
        for (parameter, argument) in entry.parameters.iter().zip(&self.arguments) {
            let writes = matches!(parameter.kind, Kind::Pointer { writes: true, .. } | Kind::Table { writes: true, .. });
            match &argument.shown {
                Shown::Tensor(_, size) => bytes[usize::from(writes)] += size,
                Shown::Whole(value) => numbers.push((parameter.name, *value)),
                _ => {}
            }
        }
        let shared = self.shared + function.static_shared;
        let kernel = KernelShape { grid: self.grid, threads: self.threads, shared, registers: function.registers, numbers };
        recording::launched(entry.name, self.element, bytes, kernel, interval);
    }

    /// The parameter that the next argument is for.
    fn parameter(&self) -> Option<&'static Parameter> {
        self.found.as_ref().ok().and_then(|(_, entry)| entry.parameters.get(self.arguments.len()))
    }

    fn push(mut self, bits: u64, shown: Shown) -> Self {
        self.arguments.push(Argument { content: Content::Word(bits), shown });
        self
    }

    /// Notes the first mistake: the next parameter is given `found`.
    fn wrong(mut self, found: String) -> Self {
        let place = match self.parameter() {
            Some(parameter) => format!("argument {} ({}, {:?})", self.arguments.len() + 1, parameter.name, parameter.kind),
            None => format!("argument {}, one too many", self.arguments.len() + 1),
        };
        self.mistake.get_or_insert_with(|| format!("{place}: {found}"));
        self.push(0, Shown::Null)
    }

    /// Kernel, grid, block and arguments.
    fn described(&self) -> String {
        let [x, y, z] = self.grid;
        let mut text = format!(
            "kernel {} ({}), {x}x{y}x{z} blocks of {} threads, {} bytes of shared memory",
            self.name, self.element, self.threads, self.shared
        );
        let parameters = self.found.as_ref().map_or(&[][..], |(_, entry)| entry.parameters);
        for (parameter, argument) in parameters.iter().zip(&self.arguments) {
            let _ = match &argument.shown {
                Shown::Tensor(shape, _) => write!(text, ", {} {shape:?}", parameter.name),
                Shown::Null => write!(text, ", {} none", parameter.name),
                Shown::Whole(value) => write!(text, ", {} {value}", parameter.name),
                Shown::Real(value) => write!(text, ", {} {value}", parameter.name),
                Shown::Words => Ok(()),
            };
        }
        text
    }
}
