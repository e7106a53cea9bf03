//! From a latent to an image: diffusers `Decoder` (`models/autoencoders/vae.py`).

use crate::autograd::Var;
use crate::error::Result;
use crate::models::blocks::{ResnetBlock, Upsample};
use crate::models::vae::VaeConfig;
use crate::models::vae::config::EPSILON;
use crate::models::vae::middle::Middle;
use crate::nn::{Conv2d, GroupNorm, Path, Placement};
use crate::ops::{Conv2dOptions, Epilogue};

/// # Shapes
/// `[batch, height, width, latent_channels] -> [batch, downscale · height, downscale · width, out_channels]`.
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    conv_in: Conv2d,
    middle: Middle,
    stages: Vec<(Vec<ResnetBlock>, Option<Upsample>)>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    /// Checkpoint names: `conv_in`, `mid_block`, `up_blocks.N.resnets.N`, `up_blocks.N.upsamplers.0`, `conv_norm_out`, `conv_out`; block 0 has the
    /// lowest resolution.
    pub(super) fn new(path: &Path, config: &VaeConfig) -> Result<Self> {
        let widths = &config.block_out_channels;
        let levels = widths.len();
        let same = Conv2dOptions::new(1, 1);
        let stage = |index: usize| -> Result<_> {
            let path = path.child("up_blocks").child(index);
            let level = levels - 1 - index;
            let before = widths[(level + 1).min(levels - 1)];
            let resnets = config.resnets(&path, config.layers_per_block + 1, before, widths[level])?;
            let upsample = (level > 0).then(|| Upsample::new(&path.child("upsamplers").child(0), widths[level])).transpose()?;
            Ok((resnets, upsample))
        };
        Ok(Self {
            conv_in: Conv2d::new(&path.child("conv_in"), config.latent_channels, config.lowest_channels(), 3, same)?,
            middle: Middle::new(&path.child("mid_block"), config)?,
            stages: (0..levels).map(stage).collect::<Result<_>>()?,
            norm_out: GroupNorm::new(&path.child("conv_norm_out"), config.norm_num_groups, widths[0], EPSILON)?,
            conv_out: Conv2d::new(&path.child("conv_out"), widths[0], config.out_channels, 3, same)?,
        })
    }

    /// Where the network computes.
    pub(super) fn placement(&self) -> Placement {
        self.conv_in.placement()
    }

    /// Applies the network to `factor · latent`.
    pub(super) fn forward(&self, latent: &Var, factor: f32) -> Result<Var> {
        let scaled = Epilogue { scale: factor, ..Epilogue::default() };
        let mut x = self.middle.forward(&self.conv_in.forward_with(latent, scaled)?)?;
        for (resnets, upsample) in &self.stages {
            for resnet in resnets {
                x = resnet.forward(&x, None)?;
            }
            if let Some(upsample) = upsample {
                x = upsample.forward(&x)?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward_silu(&x)?)
    }
}
