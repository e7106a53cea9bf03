//! What a device can do at most: the roofline that times are compared with.

use std::fmt;

use rayon::prelude::*;
use serde::Serialize;

use super::measure;
use crate::autograd::Var;
use crate::device::Device;
use crate::device::cpu::Buffer;
use crate::device::cuda::Properties;
use crate::error::Result;
use crate::ops;
use crate::tensor::random::Stream;
use crate::tensor::{DType, Tensor};

/// The two ceilings of a device, for products in each element type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ceilings {
    /// Operations a second in f32.
    pub f32_per_second: f64,
    /// Operations a second in f16 and bf16.
    pub half_per_second: f64,
    /// Bytes a second, read and written together.
    pub bytes_per_second: f64,
    /// Where the numbers are from.
    pub origin: String,
}

impl fmt::Display for Ceilings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { f32_per_second, half_per_second, bytes_per_second, origin } = self;
        let (f32, half, memory) = (f32_per_second / 1e12, half_per_second / 1e12, bytes_per_second / 1e9);
        write!(formatter, "roofline: {f32:.3} TFLOP/s in f32, {half:.3} in f16 and bf16, {memory:.0} GB/s ({origin})")
    }
}

impl Ceilings {
    /// One H100 80GB: an 8192³ product in bf16 and a copy on the device were measured there; f32 is its data sheet's.
    pub fn h100() -> Self {
        let origin = "measured on an H100 80GB; f32 of its data sheet".to_owned();
        Self { f32_per_second: 66.9e12, half_per_second: 798e12, bytes_per_second: 3.0e12, origin }
    }

    /// Of a device; the CPU's are measured, which takes a moment.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn of(device: Device) -> Result<Self> {
        match device {
            Device::Cpu => Self::of_cpu(),
            Device::Cuda(cuda) => Ok(Self::of_gpu(cuda.properties())),
        }
    }

    /// From what the driver says, but for GPUs that were measured.
    fn of_gpu(properties: &Properties) -> Self {
        if properties.name.contains("H100") {
            return Self::h100();
        }
        // Operations of a multiprocessor in one clock: multiply-adds of its f32 units, and of its tensor cores (NVIDIA's architecture papers).
        let (f32, half) = match properties.capability {
            ..80 => (128.0, 1024.0),
            80..86 => (128.0, 2048.0),
            86..90 => (256.0, 1024.0),
            90..100 => (256.0, 4096.0),
            100..120 => (256.0, 8192.0),
            _ => (256.0, 1024.0),
        };
        let clocks = f64::from(properties.processors) * properties.clock;
        let origin = "the peak by clocks and units, which no program reaches".to_owned();
        Self { f32_per_second: clocks * f32, half_per_second: clocks * half, bytes_per_second: properties.bandwidth, origin }
    }

    /// The engine's own product of 768³ and a copy of 64 MiB: the best of some runs.
    fn of_cpu() -> Result<Self> {
        const SIDE: usize = 768;
        const ELEMENTS: usize = 16 << 20;
        let matrix = |name: &str| Ok::<_, crate::error::Error>(Var::constant(Stream::new(0, name, &[]).normal(&[SIDE, SIDE])?));
        let (a, b) = (matrix("a")?, matrix("b")?);
        let product = measure(2, 5, || ops::linear(&a, &b, None).map(drop))?;
        let source = Tensor::full(1.0, &[ELEMENTS]);
        let mut target = Buffer::<f32>::zeros(ELEMENTS);
        let copy = measure(1, 5, || {
            let elements = source.f32s()?;
            target.par_chunks_mut(1 << 16).zip(elements.par_chunks(1 << 16)).for_each(|(to, from)| to.copy_from_slice(from));
            Ok(())
        })?;
        let per_second = 2.0 * (SIDE as f64).powi(3) / product.lowest * 1e3;
        let bytes_per_second = (2 * ELEMENTS * size_of::<f32>()) as f64 / copy.lowest * 1e3;
        let origin = "measured here: a product of 768 x 768 x 768, a copy of 64 MiB".to_owned();
        Ok(Self { f32_per_second: per_second, half_per_second: per_second, bytes_per_second, origin })
    }

    /// Milliseconds that so much work takes at least.
    pub fn floor(&self, operations: f64, bytes: u64, element: Option<DType>) -> f64 {
        let per_second = if matches!(element, Some(DType::F16 | DType::BF16)) { self.half_per_second } else { self.f32_per_second };
        (operations / per_second).max(bytes as f64 / self.bytes_per_second) * 1e3
    }
}
