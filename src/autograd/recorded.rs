//! What a recording under way is told of ops and their gradients.

use std::any::type_name;
use std::ptr;

use super::Var;
use crate::device::recording::{self, Noted, Operand};
use crate::error::Result;
use crate::tensor::Tensor;

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.elements() * tensor.dtype().bytes()) as u64
}

fn operand(tensor: &Tensor, is_view: bool) -> Operand {
    Operand { shape: tensor.shape().to_vec(), element: Some(tensor.dtype()), bytes: bytes(tensor), is_view }
}

/// Notes that the function which made the closure `backward` has computed `output`. Nothing when nobody records.
#[inline]
pub(super) fn note<'a, F>(_: &F, output: &Tensor, inputs: impl IntoIterator<Item = &'a Var>) -> Option<Noted> {
    if !recording::is_on() {
        return None;
    }
    let inputs: Vec<&Tensor> = inputs.into_iter().map(Var::tensor).collect();
    let is_view = inputs.iter().any(|input| ptr::eq(input.storage(), output.storage()));
    recording::computed(type_name::<F>(), inputs.iter().map(|input| operand(input, false)).collect(), operand(output, is_view))
}

/// Does `backward`, the gradients of what was noted.
pub(super) fn watch(noted: Option<&Noted>, backward: impl FnOnce() -> Result<Vec<Option<Tensor>>>) -> Result<Vec<Option<Tensor>>> {
    let Some(noted) = noted else { return backward() };
    noted.begin();
    let shares = backward()?;
    noted.end(&shares.iter().map(|share| share.as_ref().map(bytes)).collect::<Vec<_>>());
    Ok(shares)
}
