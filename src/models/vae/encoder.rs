//! From an image to the distribution of its latent: diffusers `Encoder` (`models/autoencoders/vae.py`).

use crate::autograd::Var;
use crate::error::Result;
use crate::models::blocks::{Downsample, ResnetBlock};
use crate::models::vae::VaeConfig;
use crate::models::vae::config::EPSILON;
use crate::models::vae::middle::Middle;
use crate::nn::{Conv2d, GroupNorm, Path, Placement};
use crate::ops::Conv2dOptions;

/// # Shapes
/// `[batch, height, width, in_channels] -> [batch, height / downscale, width / downscale, 2 · latent_channels]`.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    conv_in: Conv2d,
    stages: Vec<(Vec<ResnetBlock>, Option<Downsample>)>,
    middle: Middle,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    /// Checkpoint names: `conv_in`, `down_blocks.N.resnets.N`, `down_blocks.N.downsamplers.0`, `mid_block`, `conv_norm_out`, `conv_out`.
    pub(super) fn new(path: &Path, config: &VaeConfig) -> Result<Self> {
        let widths = &config.block_out_channels;
        let lowest = config.lowest_channels();
        let same = Conv2dOptions::new(1, 1);
        let stage = |level: usize| -> Result<_> {
            let path = path.child("down_blocks").child(level);
            let before = widths[level.saturating_sub(1)];
            let resnets = config.resnets(&path, config.layers_per_block, before, widths[level])?;
            let halve = level + 1 < widths.len();
            let downsample = halve.then(|| Downsample::asymmetric(&path.child("downsamplers").child(0), widths[level])).transpose()?;
            Ok((resnets, downsample))
        };
        Ok(Self {
            conv_in: Conv2d::new(&path.child("conv_in"), config.in_channels, widths[0], 3, same)?,
            stages: (0..widths.len()).map(stage).collect::<Result<_>>()?,
            middle: Middle::new(&path.child("mid_block"), config)?,
            norm_out: GroupNorm::new(&path.child("conv_norm_out"), config.norm_num_groups, lowest, EPSILON)?,
            conv_out: Conv2d::new(&path.child("conv_out"), lowest, 2 * config.latent_channels, 3, same)?,
        })
    }

    /// Where the network computes.
    pub(super) fn placement(&self) -> Placement {
        self.conv_in.placement()
    }

    /// Applies the network.
    pub(super) fn forward(&self, image: &Var) -> Result<Var> {
        let mut x = self.conv_in.forward(image)?;
        for (resnets, downsample) in &self.stages {
            for resnet in resnets {
                x = resnet.forward(&x, None)?;
            }
            if let Some(downsample) = downsample {
                x = downsample.forward(&x)?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward_silu(&self.middle.forward(&x)?)?)
    }
}
