//! ResNet (He et al., arXiv 1512.03385) as torchvision has it: the spatial encoder's backbone and, with basic blocks, the downstream
//! classifier. Names are torchvision's, so ImageNet checkpoints load from safetensors.

mod block;
mod classifier;
mod pretrained;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{BatchNorm2d, Conv2d, Path};
use crate::ops::{self, Conv2dOptions};
use block::Block;

pub use classifier::{FreshResNet, ResNetClassifier};
pub use pretrained::PretrainedBackbone;

/// The epsilon of every batch norm here.
pub(crate) const BATCH_NORM_EPSILON: f32 = 1e-5;

/// Which residual block the stages are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// Two 3x3 convolutions (ResNet-18, 34).
    Basic,
    /// 1x1, 3x3 (with the stride), 1x1 with four times the channels (ResNet-50 and deeper).
    Bottleneck,
}

impl BlockKind {
    /// Output channels of a block over its width.
    pub fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// Sizes of a ResNet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResNetConfig {
    /// The residual block.
    pub block: BlockKind,
    /// Channels of the stem and width of the first stage; each later stage doubles it. 64 in every published ResNet.
    pub width: usize,
    /// Blocks in each of the four stages.
    pub layers: [usize; 4],
}

impl ResNetConfig {
    /// ResNet-50.
    pub fn resnet50() -> Self {
        Self { block: BlockKind::Bottleneck, width: 64, layers: [3, 4, 6, 3] }
    }

    /// ResNet-34.
    pub fn resnet34() -> Self {
        Self { block: BlockKind::Basic, width: 64, layers: [3, 4, 6, 3] }
    }

    /// Channels after each stage.
    pub fn channels(&self) -> [usize; 4] {
        [1, 2, 4, 8].map(|factor| factor * self.width * self.block.expansion())
    }
}

/// The convolutional part of a ResNet.
///
/// # Shapes
/// `[batch, height, width, 3]` to four maps: `[batch, height / s, width / s, channels]` for strides s = 4, 8, 16, 32.
#[derive(Clone, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    stages: Vec<Vec<Block>>,
    channels: [usize; 4],
}

impl ResNet {
    /// Checkpoint names: `conv1.weight`, `bn1.*`, `layerS.B.*` with S from 1 and B from 0.
    pub fn new(path: &Path, config: &ResNetConfig) -> Result<Self> {
        let conv1 = Conv2d::without_bias(&path.child("conv1"), 3, config.width, 7, Conv2dOptions::new(2, 3))?;
        let bn1 = BatchNorm2d::new(&path.child("bn1"), config.width, BATCH_NORM_EPSILON)?;
        let mut inputs = config.width;
        let mut stages = Vec::with_capacity(4);
        for (stage, &count) in config.layers.iter().enumerate() {
            let (path, width) = (path.child(format!("layer{}", stage + 1)), config.width << stage);
            let mut blocks = Vec::with_capacity(count);
            for position in 0..count {
                let stride = if position == 0 && stage > 0 { 2 } else { 1 };
                blocks.push(Block::new(&path.child(position), config.block, inputs, width, stride)?);
                inputs = width * config.block.expansion();
            }
            stages.push(blocks);
        }
        Ok(Self { conv1, bn1, stages, channels: config.channels() })
    }

    /// Channels of the four maps of [`ResNet::features`].
    pub fn channels(&self) -> [usize; 4] {
        self.channels
    }

    /// The output of every stage. `training` as in [`BatchNorm2d::forward`].
    pub fn features(&self, image: &Var, training: bool) -> Result<Vec<Var>> {
        let image = self.conv1.placement().enter(image)?;
        let stem = ops::relu(&self.bn1.forward(&self.conv1.forward(&image)?, training)?)?;
        let mut x = ops::max_pool(&stem, 3, 2, 1)?;
        let mut features = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            for block in stage {
                x = block.forward(&x, training)?;
            }
            features.push(x.clone());
        }
        Ok(features)
    }
}
