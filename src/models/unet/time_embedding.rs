//! What the network knows of the time step: diffusers `get_timestep_embedding` and `TimestepEmbedding` (`models/embeddings.py`).

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, bail};
use crate::models::unet::UnetConfig;
use crate::nn::{Linear, Path};
use crate::ops::LinearEpilogue;
use crate::tensor::Tensor;

/// Sines and cosines of the time step at geometrically spaced frequencies, then two linear layers.
///
/// # Shapes
/// i32 time steps `[batch] -> [batch, 4 · block_out_channels[0]]`.
#[derive(Clone, Debug)]
pub struct TimeEmbedding {
    linear_1: Linear,
    linear_2: Linear,
    frequencies: Vec<f32>,
    cosine_first: bool,
}

/// The longest period of the sines, in time steps over 2π (Vaswani et al. 2017).
const LONGEST_PERIOD: f64 = 10_000.0;

impl TimeEmbedding {
    /// Checkpoint names: `linear_1`, `linear_2`.
    pub fn new(path: &Path, config: &UnetConfig) -> Result<Self> {
        let width = config.block_out_channels[0];
        let half = width / 2;
        // Rounded to f32 at each step, as the models met them in training: at large time steps an angle's rounding is seen in its sine.
        let spacing = (half as f64 - config.freq_shift) as f32;
        let exponent = |i: usize| (-LONGEST_PERIOD.ln() as f32 * i as f32) / spacing;
        let frequencies = (0..half).map(|i| f64::from(exponent(i)).exp() as f32).collect();
        Ok(Self {
            linear_1: Linear::new(&path.child("linear_1"), width, config.time_width())?,
            linear_2: Linear::new(&path.child("linear_2"), config.time_width(), config.time_width())?,
            frequencies,
            cosine_first: config.flip_sin_to_cos,
        })
    }

    /// silu of the embedding: no block wants it any other way.
    pub fn forward_silu(&self, timesteps: &Tensor) -> Result<Var> {
        let waves = self.linear_1.placement().enter(&Var::constant(self.waves(timesteps)?))?;
        self.linear_2.forward_with(&self.linear_1.forward_with(&waves, LinearEpilogue::Silu)?, LinearEpilogue::Silu)
    }

    fn waves(&self, timesteps: &Tensor) -> Result<Tensor> {
        let [batch] = timesteps.dims()?;
        let mut values = Vec::with_capacity(batch * 2 * self.frequencies.len());
        for &timestep in timesteps.to_device(Device::Cpu)?.i32s()? {
            if timestep < 0 {
                bail!("time step {timestep} is negative");
            }
            let angles = || self.frequencies.iter().map(|frequency| f64::from(timestep as f32 * frequency));
            let (sines, cosines) = (angles().map(f64::sin), angles().map(f64::cos));
            if self.cosine_first {
                values.extend(cosines.chain(sines).map(|value| value as f32));
            } else {
                values.extend(sines.chain(cosines).map(|value| value as f32));
            }
        }
        Tensor::from_f32(values, &[batch, 2 * self.frequencies.len()])
    }
}
