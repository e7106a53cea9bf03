//! Element types as files have them, and their way to the engine's.

use std::fmt;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::device::cpu::Buffer;
use crate::error::{Result, bail, ensure};
use crate::tensor::{DType, Tensor};

/// An element type of the safetensors format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredType {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE half precision.
    F16,
    /// Brain float.
    BF16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 16-bit signed integer.
    I16,
    /// 8-bit signed integer.
    I8,
    /// 64-bit unsigned integer.
    U64,
    /// 32-bit unsigned integer.
    U32,
    /// 16-bit unsigned integer.
    U16,
    /// 8-bit unsigned integer.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// 8-bit float with 4 exponent bits: known, so that a file is named for what it is, but not read.
    F8E4M3,
    /// 8-bit float with 5 exponent bits: known, but not read.
    F8E5M2,
}

const ALL: [(StoredType, &str, u64); 15] = [
    (StoredType::F64, "F64", 8),
    (StoredType::F32, "F32", 4),
    (StoredType::F16, "F16", 2),
    (StoredType::BF16, "BF16", 2),
    (StoredType::I64, "I64", 8),
    (StoredType::I32, "I32", 4),
    (StoredType::I16, "I16", 2),
    (StoredType::I8, "I8", 1),
    (StoredType::U64, "U64", 8),
    (StoredType::U32, "U32", 4),
    (StoredType::U16, "U16", 2),
    (StoredType::U8, "U8", 1),
    (StoredType::Bool, "BOOL", 1),
    (StoredType::F8E4M3, "F8_E4M3", 1),
    (StoredType::F8E5M2, "F8_E5M2", 1),
];

impl StoredType {
    /// From the name that a header has.
    pub fn parse(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, known, _)| *known == name).map(|(stored, ..)| *stored)
    }

    /// All names, for messages.
    pub fn names() -> String {
        ALL.map(|(_, name, _)| name).join(", ")
    }

    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        self.row().2
    }

    /// The type in which a tensor of this engine is stored.
    pub fn of(dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::F32,
            DType::F16 => Self::F16,
            DType::BF16 => Self::BF16,
            DType::I32 => Self::I32,
        }
    }

    /// Whether elements of this type can be a model's parameters.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }

    fn row(self) -> (Self, &'static str, u64) {
        ALL[self as usize]
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.row().1)
    }
}

/// How floating-point elements come into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// F16, BF16 and F64 become f32: the CPU computes in it.
    Widened,
    /// F16 and BF16 stay; F64 becomes f32.
    AsStored,
}

/// Bytes that are converted at a time: small against a tensor, large against a system call.
const CHUNK: usize = 1 << 20;

/// Reads `shape` elements through `read(offset in the tensor, destination)` without holding the file's bytes twice. Integers and booleans become i32.
pub(super) fn read_tensor(
    stored: StoredType,
    shape: &[usize],
    precision: Precision,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<()>,
) -> Result<Tensor> {
    use crate::device::cpu::CpuStorage as Cpu;
    let count = shape.iter().product();
    let storage = match (stored, precision) {
        (StoredType::F32, _) => Cpu::F32(read_buffer(count, &mut read)?),
        (StoredType::I32, _) => Cpu::I32(read_buffer(count, &mut read)?),
        (StoredType::F16, Precision::AsStored) => Cpu::F16(read_buffer(count, &mut read)?),
        (StoredType::BF16, Precision::AsStored) => Cpu::BF16(read_buffer(count, &mut read)?),
        (StoredType::F16, _) => Cpu::F32(convert(count, read, widen::<f16>)?),
        (StoredType::BF16, _) => Cpu::F32(convert(count, read, widen::<bf16>)?),
        (StoredType::F64, _) => Cpu::F32(convert(count, read, |from: &[f64], to| each(from, to, |x| Ok(x as f32)))?),
        (StoredType::I64, _) => Cpu::I32(convert(count, read, |from: &[i64], to| each(from, to, narrow))?),
        (StoredType::I16, _) => Cpu::I32(convert(count, read, |from: &[i16], to| each(from, to, narrow))?),
        (StoredType::I8, _) => Cpu::I32(convert(count, read, |from: &[i8], to| each(from, to, narrow))?),
        (StoredType::U64, _) => Cpu::I32(convert(count, read, |from: &[u64], to| each(from, to, narrow))?),
        (StoredType::U32, _) => Cpu::I32(convert(count, read, |from: &[u32], to| each(from, to, narrow))?),
        (StoredType::U16, _) => Cpu::I32(convert(count, read, |from: &[u16], to| each(from, to, narrow))?),
        (StoredType::U8 | StoredType::Bool, _) => Cpu::I32(convert(count, read, |from: &[u8], to| each(from, to, narrow))?),
        (StoredType::F8E4M3 | StoredType::F8E5M2, _) => bail!("8-bit floats ({stored}) are not read; expected F32, F16 or BF16"),
    };
    Tensor::new(storage, shape)
}

fn read_buffer<T: crate::device::cpu::Element + bytemuck::Pod>(
    count: usize,
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<()>,
) -> Result<Buffer<T>> {
    let mut buffer = Buffer::<T>::scratch(count);
    read(0, bytemuck::cast_slice_mut(&mut buffer))?;
    Ok(buffer)
}

fn convert<A: bytemuck::Pod, B: crate::device::cpu::Element>(
    count: usize,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<()>,
    convert: impl Fn(&[A], &mut [B]) -> Result<()>,
) -> Result<Buffer<B>> {
    let mut buffer = Buffer::<B>::scratch(count);
    let step = CHUNK / size_of::<A>();
    let mut chunk = vec![A::zeroed(); step.min(count)];
    for (index, output) in buffer.chunks_mut(step).enumerate() {
        let chunk = &mut chunk[..output.len()];
        read((index * CHUNK) as u64, bytemuck::cast_slice_mut(chunk))?;
        convert(chunk, output)?;
    }
    Ok(buffer)
}

fn each<A: Copy, B>(from: &[A], to: &mut [B], convert: impl Fn(A) -> Result<B>) -> Result<()> {
    ensure!(from.len() == to.len(), "chunks of {} and {} elements", from.len(), to.len());
    for (to, &from) in to.iter_mut().zip(from) {
        *to = convert(from)?;
    }
    Ok(())
}

fn narrow<A: TryInto<i32> + Copy + fmt::Display>(value: A) -> Result<i32> {
    value.try_into().map_err(|_| crate::input_error!("the number {value} is beyond 32 bits"))
}

fn widen<A>(from: &[A], to: &mut [f32]) -> Result<()>
where
    [A]: HalfFloatSliceExt,
{
    from.convert_to_f32_slice(to);
    Ok(())
}
