//! The denoising network of Stable Diffusion 1.x and 2.x: diffusers `UNet2DConditionModel` (`models/unets/unet_2d_condition.py`).

mod attention_weights;
mod config;
mod prepared;
mod stages;
mod time_embedding;
mod transformer;

pub use attention_weights::AttentionWeights;
pub use config::{BlockKind, UnetConfig};
pub use prepared::{PreparedContext, PreparedTimes};

use crate::autograd::Var;
use crate::device::recording;
use crate::error::{Result, ensure};
use crate::nn::{Conv2d, GroupNorm, Path, Placement};
use crate::ops::Conv2dOptions;
use crate::tensor::Tensor;
use prepared::Conditioning;
use stages::{DownStage, MiddleStage, UpStage};
use time_embedding::TimeEmbedding;

/// Predicts noise (or velocity) from a noisy latent, its time step and a text context.
#[derive(Clone, Debug)]
pub struct Unet {
    config: UnetConfig,
    conv_in: Conv2d,
    time_embedding: TimeEmbedding,
    down: Vec<DownStage>,
    middle: MiddleStage,
    up: Vec<UpStage>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Unet {
    /// Checkpoint names: `conv_in`, `time_embedding`, `down_blocks.N`, `mid_block`, `up_blocks.N`, `conv_norm_out`, `conv_out`.
    pub fn new(path: &Path, config: &UnetConfig) -> Result<Self> {
        let first = config.block_out_channels[0];
        let same = Conv2dOptions::new(1, 1);
        let (down, up) = (path.child("down_blocks"), path.child("up_blocks"));
        Ok(Self {
            conv_in: Conv2d::new(&path.child("conv_in"), config.in_channels, first, 3, same)?,
            time_embedding: TimeEmbedding::new(&path.child("time_embedding"), config)?,
            down: (0..config.levels()).map(|level| DownStage::new(&down.child(level), config, level)).collect::<Result<_>>()?,
            middle: MiddleStage::new(&path.child("mid_block"), config)?,
            up: (0..config.levels()).map(|index| UpStage::new(&up.child(index), config, index)).collect::<Result<_>>()?,
            norm_out: GroupNorm::new(&path.child("conv_norm_out"), config.norm_num_groups, first, config.norm_eps)?,
            conv_out: Conv2d::new(&path.child("conv_out"), first, config.out_channels, 3, same)?,
            config: config.clone(),
        })
    }

    /// Where the network computes.
    pub fn placement(&self) -> Placement {
        self.conv_in.placement()
    }

    /// The config that the network was built from.
    pub fn config(&self) -> &UnetConfig {
        &self.config
    }

    /// The prediction for a noisy latent. Any height and width will do: a size that does not halve evenly is rounded up on the way down and met
    /// again on the way up, as in diffusers. Inputs may be anywhere; the time steps are best in host memory.
    ///
    /// # Shapes
    /// `sample [batch, height, width, in_channels]`, i32 `timesteps [batch]`, `context [batch, tokens, cross_attention_dim]`
    /// -> `[batch, height, width, out_channels]`.
    pub fn forward(&self, sample: &Var, timesteps: &Tensor, context: &Var, weights: Option<&AttentionWeights>) -> Result<Var> {
        self.forward_prepared(sample, &self.prepare_times(timesteps)?, &self.prepare_context(context)?, weights)
    }

    /// [`Unet::forward`] with what was computed before: one time step and one context for each sample.
    ///
    /// # Shapes
    /// `sample [batch, height, width, in_channels] -> [batch, height, width, out_channels]`.
    pub fn forward_prepared(
        &self,
        sample: &Var,
        times: &PreparedTimes,
        context: &PreparedContext,
        weights: Option<&AttentionWeights>,
    ) -> Result<Var> {
        let [batch, height, width, channels] = sample.dims()?;
        let (contexts, timesteps) = (context.batch, times.count());
        ensure!(channels == self.config.in_channels, "the latent has {channels} channels, the UNet expects {}", self.config.in_channels);
        ensure!(contexts == batch && timesteps == batch, "a batch of {batch} latents, of {contexts} contexts and of {timesteps} time steps");
        let sizes: Vec<_> = (0..self.config.levels()).map(|level| (height.div_ceil(1 << level), width.div_ceil(1 << level))).collect();
        let _network = recording::network("unet");
        let here = self.placement();
        let reweighting = weights.map(|weights| weights.resized(&sizes, here.device)).transpose()?.unwrap_or_default();
        here.leave(&self.denoise(&here.enter(sample)?, &mut Conditioning::new(times, context, reweighting))?)
    }

    fn denoise(&self, sample: &Var, conditioning: &mut Conditioning) -> Result<Var> {
        let mut x = self.conv_in.forward(sample)?;
        let mut skips = vec![x.clone()];
        for stage in &self.down {
            x = stage.forward(x, conditioning, &mut skips)?;
        }
        x = self.middle.forward(&x, conditioning)?;
        for stage in &self.up {
            x = stage.forward(x, conditioning, &mut skips)?;
        }
        self.conv_out.forward(&self.norm_out.forward_silu(&x)?)
    }
}

#[cfg(test)]
mod tests;
