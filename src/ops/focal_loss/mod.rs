//! Focal loss of two classes: pixels that are easily told apart count little (Lin et al., ICCV 2017), as DRAEM trains with it (`loss.py`).

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::ops::loss::cuda::scaled_gradient;
use crate::tensor::Tensor;

/// How far the one-hot target is clamped from 0 and 1; also added to the probability.
const SMOOTH: f32 = 1e-5;

/// Mean over all pixels of -(1 - p)² ln p. p is the softmax probability of the pixel's true class, taken under a target of 1e-5 and 1 - 1e-5 instead of
/// 0 and 1, plus 1e-5: so p = 1 - (1 - 2e-5) · (probability of the wrong class).
///
/// # Shapes
/// `logits [batch, height, width, 2]`, `mask [batch, height, width, 1]` (set from 0.5 on) -> `[]`, in f32. Gradient to the logits only.
pub fn focal_loss(logits: &Var, mask: &Tensor) -> Result<Var> {
    let [batch, height, width, classes] = logits.dims()?;
    let fits = classes == 2 && logits.elements() > 0 && mask.shape() == [batch, height, width, 1];
    let (found, other) = (logits.shape(), mask.shape());
    ensure!(fits, "focal_loss needs logits [batch, height, width, 2] and a mask [batch, height, width, 1], found {found:?} and {other:?}");
    let (shape, dtype) = (logits.shape().to_vec(), logits.dtype());
    match logits.device() {
        Device::Cpu => {
            let (loss, gradient) = cpu::focal_loss(&logits.f32s()?, &mask.f32s()?, logits.wants_gradient());
            Ok(Var::record(Tensor::scalar(loss as f32), [logits], move |upstream, _| {
                let (factor, mut share) = (upstream.item()?, gradient);
                if factor != 1.0 {
                    share.iter_mut().for_each(|value| *value *= factor);
                }
                Ok([Some(Tensor::from_f32_as(share, &shape, dtype)?)])
            }))
        }
        Device::Cuda(device) => {
            let (loss, gradient) = cuda::focal_loss(&device, logits, mask, logits.wants_gradient())?;
            Ok(Var::record(loss, [logits], move |upstream, _| {
                Ok([gradient.map(|gradient| scaled_gradient(&device, &gradient, upstream, dtype)).transpose()?])
            }))
        }
    }
}
