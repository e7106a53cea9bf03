//! Whether numbers stay finite, without waiting for the GPU at every step.

use std::io::Write as _;

use crate::anomaly::latents;
use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, bail, ensure};
use crate::models::base::BaseModel;
use crate::nn::Placement;
use crate::ops;
use crate::tensor::{DType, Tensor};

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

/// The pictures of latents, in host memory. An autoencoder whose numbers are too large for f16 goes on in f32 for good, and says so.
///
/// # Errors
/// When they are not finite in a wider type either.
pub(super) fn decode(base: &BaseModel, latent: &Tensor) -> Result<Tensor> {
    let decode = || latents::decode(&base.vae, latent)?.to_device(Device::Cpu);
    let (mut decoded, here) = (decode()?, base.vae.placement());
    if here.dtype == DType::F16 && !is_finite(&decoded)? {
        let _ = writeln!(std::io::stderr(), "note: the autoencoder's numbers are too large for f16; it goes on in f32");
        base.details.vae.parameters.place(Placement::f32(here.device))?;
        decoded = decode()?;
    }
    ensure!(is_finite(&decoded)?, "the autoencoder gave a picture with numbers that are not finite; are the model's weights damaged?");
    Ok(decoded)
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.f32s()?.iter().all(|number| number.is_finite()))
}
