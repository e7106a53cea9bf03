//! The stages of the network: down, middle, up (diffusers `models/unets/unet_2d_blocks.py`).

use crate::autograd::Var;
use crate::error::{Result, bail};
use crate::models::blocks::{Downsample, ResnetBlock, ResnetSizes, Upsample};
use crate::models::unet::prepared::Conditioning;
use crate::models::unet::transformer::{Transformer, TransformerSizes};
use crate::models::unet::{BlockKind, UnetConfig};
use crate::nn::Path;

impl UnetConfig {
    fn resnet_sizes(&self, inputs: usize, outputs: usize) -> ResnetSizes {
        ResnetSizes { inputs, outputs, time: Some(self.time_width()), groups: self.norm_num_groups, epsilon: self.norm_eps }
    }

    fn transformer_sizes(&self, level: usize) -> TransformerSizes {
        TransformerSizes {
            channels: self.block_out_channels[level],
            heads: self.heads().at(level),
            context: self.cross_attention_dim.at(level),
            layers: self.transformer_layers_per_block.at(level),
            groups: self.norm_num_groups,
            linear_projection: self.use_linear_projection,
        }
    }

    fn transformers(&self, path: &Path, kind: BlockKind, level: usize, count: usize) -> Result<Vec<Transformer>> {
        let path = path.child("attentions");
        match kind {
            BlockKind::Plain => Ok(Vec::new()),
            BlockKind::CrossAttention => (0..count).map(|layer| Transformer::new(&path.child(layer), self.transformer_sizes(level))).collect(),
        }
    }
}

/// Residual blocks, each followed by a transformer where the stage has them, then half the resolution: `CrossAttnDownBlock2D`, `DownBlock2D`.
#[derive(Clone, Debug)]
pub(super) struct DownStage {
    level: usize,
    pub(super) resnets: Vec<ResnetBlock>,
    pub(super) transformers: Vec<Transformer>,
    downsample: Option<Downsample>,
}

impl DownStage {
    /// Checkpoint names: `resnets.N`, `attentions.N`, `downsamplers.0` (absent at the lowest level).
    pub(super) fn new(path: &Path, config: &UnetConfig, level: usize) -> Result<Self> {
        let channels = config.block_out_channels[level];
        let layers = config.layers_per_block.at(level);
        let resnets = path.child("resnets");
        let build = |layer: usize| {
            let inputs = if layer == 0 { config.block_out_channels[level.saturating_sub(1)] } else { channels };
            ResnetBlock::new(&resnets.child(layer), config.resnet_sizes(inputs, channels))
        };
        let lowest = level + 1 == config.levels();
        Ok(Self {
            level,
            resnets: (0..layers).map(build).collect::<Result<_>>()?,
            transformers: config.transformers(path, config.down_block_types[level], level, layers)?,
            downsample: (!lowest).then(|| Downsample::symmetric(&path.child("downsamplers").child(0), channels)).transpose()?,
        })
    }

    /// Applies the stage; each layer's output is kept in `skips` for the way up.
    pub(super) fn forward(&self, mut x: Var, conditioning: &mut Conditioning, skips: &mut Vec<Var>) -> Result<Var> {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(&x, Some(conditioning.next_time()?))?;
            if let Some(transformer) = self.transformers.get(layer) {
                x = transformer.forward(&x, conditioning, self.level)?;
            }
            skips.push(x.clone());
        }
        if let Some(downsample) = &self.downsample {
            x = downsample.forward(&x)?;
            skips.push(x.clone());
        }
        Ok(x)
    }
}

/// A transformer between residual blocks at the lowest resolution: `UNetMidBlock2DCrossAttn`.
#[derive(Clone, Debug)]
pub(super) struct MiddleStage {
    level: usize,
    pub(super) first: ResnetBlock,
    pub(super) transformer: Transformer,
    pub(super) second: ResnetBlock,
}

impl MiddleStage {
    /// Checkpoint names: `resnets.0`, `attentions.0`, `resnets.1`.
    pub(super) fn new(path: &Path, config: &UnetConfig) -> Result<Self> {
        let level = config.levels() - 1;
        let channels = config.block_out_channels[level];
        let resnet = |layer: usize| ResnetBlock::new(&path.child("resnets").child(layer), config.resnet_sizes(channels, channels));
        Ok(Self {
            level,
            first: resnet(0)?,
            transformer: Transformer::new(&path.child("attentions").child(0), config.transformer_sizes(level))?,
            second: resnet(1)?,
        })
    }

    /// Applies the stage.
    pub(super) fn forward(&self, x: &Var, conditioning: &mut Conditioning) -> Result<Var> {
        let x = self.first.forward(x, Some(conditioning.next_time()?))?;
        let x = self.transformer.forward(&x, conditioning, self.level)?;
        self.second.forward(&x, Some(conditioning.next_time()?))
    }
}

/// Residual blocks that each take one output of the way down beside their input, then double the resolution: `CrossAttnUpBlock2D`, `UpBlock2D`.
#[derive(Clone, Debug)]
pub(super) struct UpStage {
    level: usize,
    pub(super) resnets: Vec<ResnetBlock>,
    pub(super) transformers: Vec<Transformer>,
    upsample: Option<Upsample>,
}

impl UpStage {
    /// Stage `index` on the way up. Checkpoint names: `resnets.N`, `attentions.N`, `upsamplers.0` (absent in the last stage).
    pub(super) fn new(path: &Path, config: &UnetConfig, index: usize) -> Result<Self> {
        let level = config.levels() - 1 - index;
        let channels = config.block_out_channels[level];
        let below = config.block_out_channels[(level + 1).min(config.levels() - 1)];
        let above = config.block_out_channels[level.saturating_sub(1)];
        let layers = config.layers_per_block.at(level) + 1;
        let resnets = path.child("resnets");
        let build = |layer: usize| {
            let hidden = if layer == 0 { below } else { channels };
            let skip = if layer + 1 == layers { above } else { channels };
            ResnetBlock::new(&resnets.child(layer), config.resnet_sizes(hidden + skip, channels))
        };
        Ok(Self {
            level,
            resnets: (0..layers).map(build).collect::<Result<_>>()?,
            transformers: config.transformers(path, config.up_block_types[index], level, layers)?,
            upsample: (level > 0).then(|| Upsample::new(&path.child("upsamplers").child(0), channels)).transpose()?,
        })
    }

    /// Applies the stage; takes its share from the end of `skips`.
    pub(super) fn forward(&self, mut x: Var, conditioning: &mut Conditioning, skips: &mut Vec<Var>) -> Result<Var> {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            let Some(skip) = skips.pop() else { bail!("the way up has more layers than the way down") };
            x = resnet.forward([&x, &skip], Some(conditioning.next_time()?))?;
            if let Some(transformer) = self.transformers.get(layer) {
                x = transformer.forward(&x, conditioning, self.level)?;
            }
        }
        match (&self.upsample, skips.last()) {
            (Some(upsample), Some(skip)) => upsample.forward_to(&x, skip.dim(1), skip.dim(2)),
            _ => Ok(x),
        }
    }
}
