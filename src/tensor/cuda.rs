//! Tensors on a GPU: there and back, other element types, sums of gradients (`kernels/tensor.cu`).

use std::sync::Arc;

use super::Tensor;
use crate::device::cuda::{Cuda, CudaStorage, Launch, Resident};
use crate::device::{DType, Device, Storage};
use crate::error::{Result, bail, ensure};

/// Elements of a block: 256 threads with four each (`kernels/common/flat.cuh`).
pub(crate) const BLOCK: usize = 256 * 4;

impl Resident for Tensor {
    fn storage_and_shape(&self) -> (Arc<Storage>, Arc<[usize]>) {
        (Arc::clone(&self.storage), Arc::clone(&self.shape))
    }
}

/// A tensor on a GPU with whatever its memory holds: for outputs, which a kernel writes whole before anything reads them.
///
/// # Errors
/// When the GPU's memory is full (exit code 2).
pub fn scratch(cuda: &Cuda, shape: &[usize], dtype: DType) -> Result<Tensor> {
    Tensor::on_gpu(CudaStorage::scratch(*cuda, shape.iter().product(), dtype)?, shape)
}

impl Tensor {
    /// Elements in a GPU's memory that already have the order of `shape`.
    ///
    /// # Errors
    /// When the number of elements is not the product of the shape.
    pub(crate) fn on_gpu(storage: CudaStorage, shape: &[usize]) -> Result<Self> {
        let (found, expected) = (storage.elements(), shape.iter().product::<usize>());
        ensure!(found == expected, "a tensor of shape {shape:?} has {expected} elements, found {found}");
        Ok(Self { storage: Arc::new(Storage::Cuda(storage)), shape: shape.into() })
    }
}

pub(super) fn to_device(tensor: &Tensor, device: Device) -> Result<Tensor> {
    if tensor.device() == device {
        return Ok(tensor.clone());
    }
    let storage = match (&*tensor.storage, device) {
        (Storage::Cpu(host), Device::Cuda(cuda)) => Storage::Cuda(CudaStorage::upload(cuda, host)?),
        (Storage::Cuda(storage), Device::Cpu) => Storage::Cpu(storage.download()?),
        (Storage::Cuda(storage), Device::Cuda(cuda)) => Storage::Cuda(CudaStorage::upload(cuda, &storage.download()?)?),
        (Storage::Cpu(_), Device::Cpu) => return Ok(tensor.clone()),
    };
    Ok(Tensor { storage: Arc::new(storage), shape: Arc::clone(&tensor.shape) })
}

/// The same values in another element type, rounded to nearest even.
pub(super) fn to_dtype(cuda: &Cuda, x: &Tensor, dtype: DType) -> Result<Tensor> {
    let entry = match (x.dtype(), dtype) {
        (DType::I32, _) | (_, DType::I32) => bail!("cannot turn {} into {dtype} (shape {:?})", x.dtype(), x.shape()),
        (_, DType::F32) => "tensor_to_f32",
        (_, DType::F16) => "tensor_to_f16",
        (_, DType::BF16) => "tensor_to_bf16",
    };
    let output = scratch(cuda, x.shape(), dtype)?;
    Launch::new(cuda, entry, x.dtype()).grid(x.elements().div_ceil(BLOCK), 1, 1).tensor(x).tensor(&output).int(x.elements()).run()?;
    Ok(output)
}

/// a + b of one shape, in the element type of `a`.
pub(crate) fn add(cuda: &Cuda, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    ensure!(a.shape() == b.shape(), "expected two tensors of one shape, found {:?} and {:?}", a.shape(), b.shape());
    let (b, sum) = (b.to_dtype(a.dtype())?, scratch(cuda, a.shape(), a.dtype())?);
    let launch = Launch::new(cuda, "tensor_add", a.dtype()).grid(a.elements().div_ceil(BLOCK), 1, 1);
    launch.tensor(a).tensor(&b).tensor(&sum).int(a.elements()).run()?;
    Ok(sum)
}
