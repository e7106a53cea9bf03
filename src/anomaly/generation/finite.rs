//! Whether latents stay finite, without waiting for the GPU at every step.

use crate::autograd::Var;
use crate::error::{Result, bail};
use crate::ops;
use crate::tensor::Tensor;

/// Steps whose sums are fetched together.
const TOGETHER: usize = 8;

/// The sums of the latents of the last steps: one is not finite as soon as any number is not.
#[derive(Default)]
pub(super) struct FiniteSums {
    waiting: Vec<(i32, Tensor)>,
}

impl FiniteSums {
    /// Takes in the latent behind a step; some steps later, and at the `last`, all that came in are looked at.
    ///
    /// # Errors
    /// When a latent was not finite; the message names its time step.
    pub(super) fn add(&mut self, timestep: i32, latent: &Tensor, last: bool) -> Result<()> {
        self.waiting.push((timestep, ops::sum(&Var::constant(latent.clone()))?.into_tensor()));
        if self.waiting.len() < TOGETHER && !last {
            return Ok(());
        }
        for (timestep, sum) in self.waiting.drain(..) {
            if !sum.item()?.is_finite() {
                bail!(
                    "the denoising network gave numbers that are not finite at time step {timestep}; are the model's weights damaged, or --dtype too \
                     narrow?"
                );
            }
        }
        Ok(())
    }
}
