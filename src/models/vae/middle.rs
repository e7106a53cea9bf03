//! The middle of encoder and decoder: diffusers `UNetMidBlock2D` with `Attention` (`models/unets/unet_2d_blocks.py`, `models/attention_processor.py`).

use crate::autograd::Var;
use crate::error::Result;
use crate::models::blocks::ResnetBlock;
use crate::models::vae::VaeConfig;
use crate::models::vae::config::EPSILON;
use crate::nn::{GroupNorm, Linear, Path};
use crate::ops::{self, LinearEpilogue};

/// Self-attention between two residual blocks at the lowest resolution.
#[derive(Clone, Debug)]
pub(super) struct Middle {
    first: ResnetBlock,
    attention: Option<SpatialAttention>,
    second: ResnetBlock,
}

impl Middle {
    /// Checkpoint names: `resnets.0`, `attentions.0`, `resnets.1`.
    pub(super) fn new(path: &Path, config: &VaeConfig) -> Result<Self> {
        let channels = config.lowest_channels();
        let resnet = |layer: usize| ResnetBlock::new(&path.child("resnets").child(layer), config.resnet_sizes(channels, channels));
        let attention = path.child("attentions").child(0);
        Ok(Self {
            first: resnet(0)?,
            attention: config.mid_block_add_attention.then(|| SpatialAttention::new(&attention, channels, config.norm_num_groups)).transpose()?,
            second: resnet(1)?,
        })
    }

    /// Applies the blocks.
    pub(super) fn forward(&self, x: &Var) -> Result<Var> {
        let mut x = self.first.forward(x, None)?;
        if let Some(attention) = &self.attention {
            x = attention.forward(&x)?;
        }
        self.second.forward(&x, None)
    }
}

/// Attention over the positions of an image, with one head over all channels and a residual connection.
///
/// # Shapes
/// `[batch, height, width, channels] -> ` the same.
#[derive(Clone, Debug)]
struct SpatialAttention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

impl SpatialAttention {
    /// Checkpoint names: `group_norm`, `to_q`, `to_k`, `to_v`, `to_out.0` (all with biases).
    fn new(path: &Path, channels: usize, groups: usize) -> Result<Self> {
        let linear = |name: &str| Linear::new(&path.child(name), channels, channels);
        Ok(Self {
            norm: GroupNorm::new(&path.child("group_norm"), groups, channels, EPSILON)?,
            query: linear("to_q")?,
            key: linear("to_k")?,
            value: linear("to_v")?,
            output: linear("to_out.0")?,
        })
    }

    fn forward(&self, x: &Var) -> Result<Var> {
        let [batch, height, width, channels] = x.dims()?;
        let normalised = ops::reshape(&self.norm.forward(x)?, &[batch, height * width, channels])?;
        let (q, k, v) = (self.query.forward(&normalised)?, self.key.forward(&normalised)?, self.value.forward(&normalised)?);
        let residual = ops::reshape(x, &[batch, height * width, channels])?;
        let attended = self.output.forward_with(&ops::attention(&q, &k, &v, 1, false)?, LinearEpilogue::Residual(&residual))?;
        ops::reshape(&attended, x.shape())
    }
}
