//! Whether numbers stay finite, without waiting for the GPU at every step.

use std::io::Write as _;

use crate::anomaly::latents;
use crate::device::Device;
use crate::error::{Result, bail, ensure};
use crate::models::base::BaseModel;
use crate::nn::Placement;
use crate::tensor::{DType, Tensor};

/// Steps between two looks.
const TOGETHER: usize = 8;

/// Looks now and then at the sum of all latents so far, which is not finite as soon as any number was not.
#[derive(Default)]
pub(super) struct FiniteSums {
    /// The time step behind the last look.
    since: Option<i32>,
    steps: usize,
}

impl FiniteSums {
    /// Takes in the sum behind a step; some steps later, and at the `last`, it is looked at.
    ///
    /// # Errors
    /// When a latent was not finite; the message names the time steps since the last look.
    pub(super) fn add(&mut self, timestep: i32, sum: &Tensor, last: bool) -> Result<()> {
        let first = *self.since.get_or_insert(timestep);
        self.steps += 1;
        if self.steps < TOGETHER && !last {
            return Ok(());
        }
        if !sum.item()?.is_finite() {
            bail!(
                "the denoising network gave numbers that are not finite between time steps {first} and {timestep}; are the model's weights damaged, or \
                 --dtype too narrow?"
            );
        }
        *self = Self::default();
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
