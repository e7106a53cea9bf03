//! What a tensor is: contiguous elements, a shape, an element type. Images are channels-last, `[batch, height, width, channels]`.
//!
//! Tensors are immutable and cheap to clone. Gradients are the business of [`crate::autograd`].

pub(crate) mod cuda;
pub mod random;
pub mod replay;
mod rounding;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

pub use crate::device::DType;
pub use cuda::scratch;

use crate::device::cpu::{Buffer, CpuStorage, Element};
use crate::device::{Device, Storage};
use crate::error::{Result, bail, ensure};

/// Contiguous elements with a shape.
#[derive(Clone)]
pub struct Tensor {
    storage: Arc<Storage>,
    shape: Arc<[usize]>,
}

impl Tensor {
    /// Wraps elements that already have the order of `shape`.
    ///
    /// # Errors
    /// When the number of elements is not the product of the shape.
    pub fn new(storage: CpuStorage, shape: &[usize]) -> Result<Self> {
        let found = match &storage {
            CpuStorage::F32(buffer) => buffer.len(),
            CpuStorage::F16(buffer) => buffer.len(),
            CpuStorage::BF16(buffer) => buffer.len(),
            CpuStorage::I32(buffer) => buffer.len(),
        };
        let expected: usize = shape.iter().product();
        ensure!(found == expected, "a tensor of shape {shape:?} has {expected} elements, found {found}");
        Ok(Self { storage: Arc::new(Storage::Cpu(storage)), shape: shape.into() })
    }

    /// An f32 tensor on the CPU; see [`Tensor::new`].
    pub fn from_f32(elements: impl Into<Buffer<f32>>, shape: &[usize]) -> Result<Self> {
        Self::new(CpuStorage::F32(elements.into()), shape)
    }

    /// An i32 tensor on the CPU; see [`Tensor::new`].
    pub fn from_i32(elements: impl Into<Buffer<i32>>, shape: &[usize]) -> Result<Self> {
        Self::new(CpuStorage::I32(elements.into()), shape)
    }

    /// Rounds f32 elements to `dtype`: how an op stores what it computed in f32.
    pub fn from_f32_as(elements: Buffer<f32>, shape: &[usize], dtype: DType) -> Result<Self> {
        Self::new(rounding::round(elements, dtype)?, shape)
    }

    /// All elements equal to `value`, in f32.
    pub fn full(value: f32, shape: &[usize]) -> Self {
        let mut buffer = Buffer::scratch(shape.iter().product());
        buffer.fill(value);
        Self { storage: Arc::new(Storage::Cpu(CpuStorage::F32(buffer))), shape: shape.into() }
    }

    /// All elements zero, in f32.
    pub fn zeros(shape: &[usize]) -> Self {
        Self::full(0.0, shape)
    }

    /// One f32 number, shape `[]`.
    pub fn scalar(value: f32) -> Self {
        Self::full(value, &[])
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The size of axis `axis`; panics when there is no such axis.
    pub fn dim(&self, axis: usize) -> usize {
        self.shape[axis]
    }

    /// How many axes there are.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The shape as exactly `N` sizes.
    ///
    /// # Errors
    /// When the rank is not `N`.
    pub fn dims<const N: usize>(&self) -> Result<[usize; N]> {
        ensure!(self.rank() == N, "expected a tensor of {N} axes, found shape {:?}", self.shape);
        let mut sizes = [0; N];
        sizes.copy_from_slice(&self.shape);
        Ok(sizes)
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self.storage.as_ref() {
            Storage::Cpu(CpuStorage::F32(_)) => DType::F32,
            Storage::Cpu(CpuStorage::F16(_)) => DType::F16,
            Storage::Cpu(CpuStorage::BF16(_)) => DType::BF16,
            Storage::Cpu(CpuStorage::I32(_)) => DType::I32,
            Storage::Cuda(storage) => storage.dtype(),
        }
    }

    /// Where the elements are.
    pub fn device(&self) -> Device {
        self.storage.device()
    }

    /// The storage behind the tensor.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The elements as f32: borrowed when they are, widened otherwise. For the CPU half of ops.
    ///
    /// # Errors
    /// When the elements are integers or not in host memory.
    pub fn f32s(&self) -> Result<Cow<'_, [f32]>> {
        Ok(match self.host()? {
            CpuStorage::F32(buffer) => Cow::Borrowed(&buffer[..]),
            CpuStorage::F16(buffer) => Cow::Owned(buffer.to_f32_vec()),
            CpuStorage::BF16(buffer) => Cow::Owned(buffer.to_f32_vec()),
            CpuStorage::I32(_) => bail!("expected floating-point elements, found i32 of shape {:?}", self.shape),
        })
    }

    /// The elements of an i32 tensor in host memory.
    ///
    /// # Errors
    /// When the elements are of another type or not in host memory.
    pub fn i32s(&self) -> Result<&[i32]> {
        match self.host()? {
            CpuStorage::I32(buffer) => Ok(buffer),
            _ => bail!("expected i32 elements, found {} of shape {:?}", self.dtype(), self.shape),
        }
    }

    fn host(&self) -> Result<&CpuStorage> {
        match self.storage.as_ref() {
            Storage::Cpu(storage) => Ok(storage),
            Storage::Cuda(storage) => bail!("expected a tensor in host memory, found shape {:?} on {}", self.shape, storage.cuda()),
        }
    }

    /// The same elements on a device: this tensor if they are there, a copy otherwise. A copy to the host waits for the GPU.
    ///
    /// # Errors
    /// When the GPU's memory is full (exit code 2), or when a kernel before failed.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        cuda::to_device(self, device)
    }

    /// A copy of the elements as f32, wherever they are.
    pub fn to_f32_vec(&self) -> Result<Vec<f32>> {
        Ok(self.to_device(Device::Cpu)?.f32s()?.into_owned())
    }

    /// The only element of a one-element tensor.
    pub fn item(&self) -> Result<f32> {
        ensure!(self.elements() == 1, "expected one element, found shape {:?}", self.shape);
        Ok(self.to_device(Device::Cpu)?.f32s()?[0])
    }

    /// The same elements under another shape.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        let count: usize = shape.iter().product();
        ensure!(count == self.elements(), "cannot view shape {:?} as {shape:?}", self.shape);
        Ok(Self { storage: Arc::clone(&self.storage), shape: shape.into() })
    }

    /// The same values in another element type (rounded to nearest even).
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        if let Storage::Cuda(storage) = self.storage.as_ref() {
            return cuda::to_dtype(&storage.cuda(), self, dtype);
        }
        let mut buffer = Buffer::scratch(self.elements());
        buffer.copy_from_slice(&self.f32s()?);
        Self::from_f32_as(buffer, &self.shape, dtype)
    }

    /// The elements' bytes, little endian as in safetensors: borrowed where they are in host memory, fetched otherwise.
    ///
    /// # Errors
    /// When the elements are on a GPU and a kernel before failed.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self.storage.as_ref() {
            Storage::Cpu(storage) => Ok(Cow::Borrowed(storage.bytes())),
            Storage::Cuda(storage) => Ok(Cow::Owned(storage.download()?.bytes().to_vec())),
        }
    }

    /// Mutable f32 elements when this is the only owner of them; `None` when shared or of another type.
    pub fn f32s_mut(&mut self) -> Option<&mut [f32]> {
        match Arc::get_mut(&mut self.storage)? {
            Storage::Cpu(CpuStorage::F32(buffer)) => Some(buffer),
            Storage::Cpu(_) | Storage::Cuda(_) => None,
        }
    }

    /// Reorders the axes: axis `i` of the result is axis `order[i]` of this tensor. For loading and for files, not for hot paths.
    pub fn permute(&self, order: &[usize]) -> Result<Self> {
        let mut seen = order.to_vec();
        seen.sort_unstable();
        ensure!(seen.iter().copied().eq(0..self.rank()), "cannot reorder the {} axes of shape {:?} by {order:?}", self.rank(), self.shape);
        let device = self.device();
        if device != Device::Cpu {
            return self.to_device(Device::Cpu)?.permute(order)?.to_device(device);
        }
        let storage = match self.host()? {
            CpuStorage::F32(buffer) => CpuStorage::F32(permuted::<f32>(buffer, &self.shape, order)),
            CpuStorage::F16(buffer) => CpuStorage::F16(permuted::<f16>(buffer, &self.shape, order)),
            CpuStorage::BF16(buffer) => CpuStorage::BF16(permuted::<bf16>(buffer, &self.shape, order)),
            CpuStorage::I32(buffer) => CpuStorage::I32(permuted::<i32>(buffer, &self.shape, order)),
        };
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        Self::new(storage, &shape)
    }

    /// `[batch, channels, height, width]`, as files of other frameworks have it, to channels-last.
    pub fn nchw_to_nhwc(&self) -> Result<Self> {
        self.permute(&[0, 2, 3, 1])
    }

    /// Channels-last to `[batch, channels, height, width]`.
    pub fn nhwc_to_nchw(&self) -> Result<Self> {
        self.permute(&[0, 3, 1, 2])
    }
}

fn permuted<T: Element>(elements: &[T], shape: &[usize], order: &[usize]) -> Buffer<T> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let sizes: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
    let mut output = Buffer::scratch(elements.len());
    let outermost = sizes.first().copied().unwrap_or(1).max(1);
    let slices = output.par_chunks_mut((elements.len() / outermost).max(1));
    slices.enumerate().for_each(|(outer, slice)| gather(&elements[outer * steps.first().copied().unwrap_or(0)..], slice, &sizes, &steps));
    output
}

/// Fills one outermost slice of a reordering: all axes but the first, `steps` apart in `elements`.
fn gather<T: Copy>(elements: &[T], slice: &mut [T], sizes: &[usize], steps: &[usize]) {
    let last = sizes.len().saturating_sub(1);
    let (row, step) = if last == 0 { (1, 1) } else { (sizes[last], steps[last]) };
    let mut index = vec![0; last];
    let mut offset = 0;
    for row in slice.chunks_mut(row) {
        row.iter_mut().enumerate().for_each(|(column, element)| *element = elements[offset + column * step]);
        for axis in (1..last).rev() {
            index[axis] += 1;
            offset += steps[axis];
            if index[axis] < sizes[axis] {
                break;
            }
            offset -= steps[axis] * sizes[axis];
            index[axis] = 0;
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tensor({} {:?} on {})", self.dtype(), self.shape, self.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_last_and_back() {
        let nchw = Tensor::from_f32((0..24).map(|i| i as f32).collect::<Vec<_>>(), &[1, 2, 3, 4]).unwrap();
        let nhwc = nchw.nchw_to_nhwc().unwrap();
        assert_eq!(nhwc.shape(), [1, 3, 4, 2]);
        assert_eq!(&nhwc.to_f32_vec().unwrap()[..4], [0.0, 12.0, 1.0, 13.0]);
        assert_eq!(nhwc.nhwc_to_nchw().unwrap().to_f32_vec().unwrap(), nchw.to_f32_vec().unwrap());
    }

    #[test]
    fn axes_are_reordered_as_their_definition_says() {
        let sizes = [2, 3, 4, 5];
        let tensor = Tensor::from_i32((0..120).collect::<Vec<_>>(), &sizes).unwrap();
        for order in [[0, 2, 3, 1], [3, 1, 0, 2], [1, 0, 3, 2], [0, 1, 2, 3]] {
            let found = tensor.permute(&order).unwrap();
            for (position, &value) in found.i32s().unwrap().iter().enumerate() {
                let mut rest = position;
                let mut index = [0; 4];
                for axis in (0..4).rev() {
                    index[order[axis]] = rest % sizes[order[axis]];
                    rest /= sizes[order[axis]];
                }
                assert_eq!(value as usize, ((index[0] * 3 + index[1]) * 4 + index[2]) * 5 + index[3], "{order:?} at {position}");
            }
        }
        assert_eq!(Tensor::scalar(3.0).permute(&[]).unwrap().item().unwrap(), 3.0);
        assert_eq!(Tensor::zeros(&[0, 3]).permute(&[1, 0]).unwrap().shape(), [3, 0]);
        assert_eq!(Tensor::from_i32(vec![1, 2], &[2]).unwrap().permute(&[0]).unwrap().i32s().unwrap(), [1, 2]);
    }

    #[test]
    fn wrong_element_count_is_refused() {
        let error = Tensor::from_f32(vec![0.0; 5], &[2, 3]).unwrap_err().to_string();
        assert!(error.contains("6 elements, found 5"), "{error}");
    }

    #[test]
    fn half_precision_rounds_to_nearest() {
        let tensor = Tensor::from_f32(vec![1.0, 1.0 + 1.0 / 4096.0], &[2]).unwrap();
        assert_eq!(tensor.to_dtype(DType::F16).unwrap().to_f32_vec().unwrap(), [1.0, 1.0]);
        assert_eq!(tensor.to_dtype(DType::BF16).unwrap().dtype(), DType::BF16);
    }
}
