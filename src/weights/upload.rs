//! A tensor of a file brought to a GPU in pieces: read, converted and put into the engine's layout where the copy starts from.

use crate::device::cuda::Staging;
use crate::error::Result;
use crate::nn::Layout;
use crate::tensor::{DType, Tensor};
use crate::weights::stored::{Precision, StoredType, read_tensor};

/// Bytes of each of the two buffers; a device copies as fast from larger ones.
pub(super) const BUFFER: usize = 8 << 20;

/// Reads `shape` elements through `read(offset in the tensor, destination)`; `shape` is the checkpoint's. Comes in `layout` and `dtype`.
///
/// # Errors
/// When the GPU's memory is full, or one output of a convolution has more weights than a buffer holds (exit code 2), and what `read` gives.
pub(super) fn upload(
    staging: &mut Staging,
    stored: StoredType,
    shape: &[usize],
    (layout, dtype): (Layout, DType),
    mut read: impl FnMut(u64, &mut [u8]) -> Result<()>,
) -> Result<Tensor> {
    // Reordering stays within a row: one output of a convolution.
    let inner = if layout.keeps_order() { &[] } else { &shape[1..] };
    let row = inner.iter().product::<usize>().max(1);
    let as_stored = layout.keeps_order() && stored == StoredType::of(dtype);
    let storage = staging.upload(shape.iter().product(), row, dtype, |position, piece| {
        let offset = position as u64 * stored.bytes();
        if as_stored {
            return read(offset, piece);
        }
        let rows = piece.len() / dtype.bytes() / row;
        let values = read_tensor(stored, &[&[rows], inner].concat(), Precision::AsStored, |within, part| read(offset + within, part))?;
        let values = values.to_dtype(dtype)?;
        let values = if layout.keeps_order() { values } else { layout.from_checkpoint(values)? };
        piece.copy_from_slice(&values.bytes()?);
        Ok(())
    })?;
    Tensor::on_gpu(storage, &layout.shape(shape))
}
