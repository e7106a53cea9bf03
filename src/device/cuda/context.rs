//! One GPU: its context, its stream and the kernels loaded on it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream, DriverError, result, sys};
use cudarc::nvrtc::Ptx;
use serde::Serialize;

use super::failure::sentence;
use super::libraries;
use super::pool::Pool;
use super::sources::{Entry, Kernel};
use super::{Architecture, Cache, Compiler, Variant};
use crate::device::DType;
use crate::error::{Error, Result, anyhow};
use crate::input_error;

/// The oldest driver, as the CUDA version that it knows: 12.0.
const OLDEST_DRIVER: i32 = 12_000;
/// Dynamic shared memory that a kernel may use without asking for more.
const SHARED_UNASKED: u32 = 48 << 10;

/// A GPU in use. All work goes to one stream, so it runs in the order in which it was asked for; only weights come by streams of their own ([`super::Staging`]).
#[derive(Clone, Copy)]
pub struct Cuda(&'static Gpu);

/// The GPUs that somebody asked for: opened, or why not.
static OPEN: Mutex<BTreeMap<u32, Result<Cuda, String>>> = Mutex::new(BTreeMap::new());

/// What is known of a GPU.
#[derive(Clone, Debug, Serialize)]
pub struct Properties {
    /// Its number: `cuda:0`.
    pub ordinal: u32,
    /// Its name.
    pub name: String,
    /// Compute capability times ten.
    pub capability: u32,
    /// Multiprocessors.
    pub processors: u32,
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes of the second-level cache.
    pub cache: usize,
    /// Bytes of shared memory that a block may ask for.
    pub shared: u32,
    /// Clocks a second of the multiprocessors, at most.
    pub clock: f64,
    /// Bytes a second that the memory gives, by its clock and its bus.
    pub bandwidth: f64,
    /// The CUDA version that the driver knows: 13, 0.
    pub driver: (u32, u32),
}

struct Gpu {
    properties: Properties,
    architecture: Architecture,
    compiler: &'static Compiler,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    pool: Mutex<Pool>,
    modules: Mutex<HashMap<(&'static str, DType), Arc<CudaModule>>>,
    functions: RwLock<HashMap<(&'static str, DType), Arc<Function>>>,
}

/// A loaded entry point.
pub(super) struct Function {
    pub handle: CudaFunction,
    /// Registers of a thread.
    pub registers: usize,
    /// Bytes of shared memory that every block has.
    pub static_shared: usize,
    /// Dynamic shared memory that it may use so far.
    allowed: Mutex<u32>,
}

/// The GPUs of this machine, or why none can be used. Makes no context.
///
/// # Errors
/// No driver, a driver that is too old or does not start, no GPU (exit code 2).
pub fn devices() -> Result<Vec<Properties>> {
    let (count, driver) = start_driver().map_err(|sentence| input_error!("{sentence}"))?;
    (0..count).map(|ordinal| properties(ordinal, driver).map_err(|error| input_error!("cuda:{ordinal}: {}", sentence(error)))).collect()
}

/// Starts the driver; the number of GPUs and the driver's version, or one sentence.
fn start_driver() -> Result<(u32, i32), String> {
    libraries::driver()?;
    let mut version = 0;
    // SAFETY: the library is present; the pointer is valid for the call.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(sentence)?;
    if version < OLDEST_DRIVER {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        return Err(format!(
            "the NVIDIA driver is too old: it knows CUDA {major}.{minor}, expected 12.0 or later; update the driver or use --device cpu"
        ));
    }
    let count = CudaContext::device_count().map_err(|error| format!("the NVIDIA driver is there, but {}; use --device cpu", sentence(error)))?;
    Ok((count.unsigned_abs(), version))
}

fn properties(ordinal: u32, driver: i32) -> Result<Properties, DriverError> {
    let device = result::device::get(ordinal.cast_signed())?;
    // SAFETY: the driver has started and gave this device.
    let attribute = |which| unsafe { result::device::get_attribute(device, which) }.map(i32::unsigned_abs);
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let hertz = |which| attribute(which).map(|kilohertz| 1e3 * f64::from(kilohertz));
    // Two transfers a clock.
    let memory_bits = 2.0 * f64::from(attribute(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?);
    Ok(Properties {
        ordinal,
        name: result::device::get_name(device)?,
        capability: major * 10 + attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        processors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }?,
        cache: attribute(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)? as usize,
        shared: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        clock: hertz(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?,
        bandwidth: hertz(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)? * memory_bits / 8.0,
        driver: (driver.unsigned_abs() / 1000, driver.unsigned_abs() % 1000 / 10),
    })
}

impl Gpu {
    fn open(ordinal: u32) -> Result<Self, String> {
        let (count, driver) = start_driver()?;
        if ordinal >= count {
            return Err(format!("there is no cuda:{ordinal}: this machine has {count} GPU{}, numbered from 0", if count == 1 { "" } else { "s" }));
        }
        let unusable = |error| format!("cuda:{ordinal} cannot be used: {}", sentence(error));
        let properties = properties(ordinal, driver).map_err(unusable)?;
        let (major, minor) = (properties.capability / 10, properties.capability % 10);
        if properties.capability < Architecture::OLDEST.number {
            return Err(format!(
                "{} has compute capability {major}.{minor}, expected 7.5 or later (Turing, 2018); use --device cpu",
                properties.name
            ));
        }
        let compiler = Compiler::find().map_err(|error| error.to_string())?;
        if compiler.version.0 > properties.driver.0 {
            let ((new, _), (old, part)) = (compiler.version, properties.driver);
            return Err(format!(
                "libnvrtc {new} makes binaries that this driver (CUDA {old}.{part}) does not load; update the driver or `pip install nvidia-cuda-nvrtc-cu{old}`"
            ));
        }
        let context = CudaContext::new(ordinal as usize).map_err(unusable)?;
        // SAFETY: there is one stream, whose order is all the order that is needed; tensors are freed on it as well. `Staging`, which has another, orders its
        // copies by events of its own.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(unusable)?;
        keep_freed_memory(&context).map_err(unusable)?;
        let architecture = Architecture::of_capability(major, minor);
        Ok(Self {
            properties,
            architecture,
            compiler,
            context,
            stream,
            pool: Mutex::default(),
            modules: Mutex::default(),
            functions: RwLock::default(),
        })
    }

    fn load(&self, kernel: &'static Kernel, element: DType) -> Result<Arc<CudaModule>> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&(kernel.name, element)) {
            return Ok(Arc::clone(module));
        }
        let variant = Variant { kernel, element, architecture: self.architecture };
        let compiled = variant.compile(self.compiler, Cache::of_user().as_ref())?;
        let loaded = self.context.load_module(Ptx::from_binary(compiled.binary));
        let module = loaded.map_err(|error| anyhow!("{variant} does not load on {}: {}", self.properties.name, sentence(error)))?;
        modules.insert((kernel.name, element), Arc::clone(&module));
        Ok(module)
    }
}

/// What our own pool gives back (`pool.rs`) stays with the driver's, from which it comes again in a microsecond; without this the driver gives it back to
/// the system at every synchronisation.
fn keep_freed_memory(context: &CudaContext) -> Result<(), DriverError> {
    if !context.has_async_alloc() {
        return Ok(());
    }
    let mut threshold = u64::MAX;
    // SAFETY: the context's own device; the attribute is a 64-bit number, alive during the call.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device())?;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast())
    }
}

impl Cuda {
    /// The GPU `cuda:<ordinal>`, opened at the first call.
    ///
    /// # Errors
    /// One sentence each: no driver, a driver too old, no such device, a compute capability under 7.5, no libnvrtc (exit code 2).
    pub fn open(ordinal: u32) -> Result<Self> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        // Contexts live as long as the process: tensors anywhere may refer to them.
        let found = open.entry(ordinal).or_insert_with(|| Gpu::open(ordinal).map(|gpu| Cuda(Box::leak(Box::new(gpu)))));
        found.clone().map_err(|sentence| input_error!("{sentence}"))
    }

    /// All GPUs that were opened.
    pub fn opened() -> Vec<Self> {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(|found| found.as_ref().ok()).copied().collect()
    }

    /// What is known of it.
    pub fn properties(&self) -> &'static Properties {
        &self.0.properties
    }

    /// Compute capability times ten: 80 for sm_80.
    pub fn capability(&self) -> u32 {
        self.0.properties.capability
    }

    /// What kernels are compiled for here.
    pub fn architecture(&self) -> Architecture {
        self.0.architecture
    }

    /// Bytes of the device's memory that nobody holds.
    ///
    /// # Errors
    /// When the driver does not say.
    pub fn free_bytes(&self) -> Result<usize> {
        self.context().mem_get_info().map(|(free, _)| free).map_err(|error| self.error("asking for its free memory", error))
    }

    /// Waits until all work is done.
    ///
    /// # Errors
    /// When a kernel before failed.
    pub fn synchronize(&self) -> Result<()> {
        self.outside_of_captures("waiting")?;
        self.context().bind_to_thread().and_then(|()| self.stream().synchronize()).map_err(|error| self.error("waiting for the GPU", error))
    }

    pub(super) fn context(&self) -> &Arc<CudaContext> {
        &self.0.context
    }

    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.0.stream
    }

    pub(super) fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(&self, during: &str, error: DriverError) -> Error {
        anyhow!("{self} ({}), {during}: {}", self.0.properties.name, sentence(error))
    }

    /// An entry point of a kernel, compiled and loaded at the first call.
    pub(super) fn function(&self, kernel: &'static Kernel, entry: &'static Entry, element: DType) -> Result<Arc<Function>> {
        let key = (entry.name, element);
        if let Some(function) = self.0.functions.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(function));
        }
        let loaded = self.0.load(kernel, element)?.load_function(entry.name);
        let missing = |error| anyhow!("{} has no {} for {} in {element}: {}", kernel.name, entry.name, self.0.architecture, sentence(error));
        let function = Arc::new(Function::new(loaded.map_err(missing)?));
        self.0.functions.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&function));
        Ok(function)
    }
}

impl Function {
    fn new(handle: CudaFunction) -> Self {
        use sys::CUfunction_attribute::{CU_FUNC_ATTRIBUTE_NUM_REGS, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES};
        // Known to every driver; without them a profile has no occupancy, and nothing else is missing.
        let attribute = |which| handle.get_attribute(which).map_or(0, |value| value.max(0) as usize);
        let (registers, static_shared) = (attribute(CU_FUNC_ATTRIBUTE_NUM_REGS), attribute(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES));
        Self { handle, registers, static_shared, allowed: Mutex::new(SHARED_UNASKED) }
    }

    /// Lets the function use so much dynamic shared memory.
    pub(super) fn allow_shared(&self, bytes: u32) -> Result<(), DriverError> {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes > *allowed {
            let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            self.handle.set_attribute(attribute, bytes.cast_signed())?;
            *allowed = bytes;
        }
        Ok(())
    }
}

impl PartialEq for Cuda {
    fn eq(&self, other: &Self) -> bool {
        self.0.properties.ordinal == other.0.properties.ordinal
    }
}

impl Eq for Cuda {}

impl fmt::Display for Cuda {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cuda:{}", self.0.properties.ordinal)
    }
}

impl fmt::Debug for Cuda {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
