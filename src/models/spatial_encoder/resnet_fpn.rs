//! The paper's encoder: ResNet, feature pyramid, one small fully connected network per token.

use serde::{Deserialize, Serialize};

use super::feature_pyramid::FeaturePyramid;
use crate::autograd::Var;
use crate::error::{Result, ensure};
use crate::models::resnet::{ResNet, ResNetConfig};
use crate::nn::{Init, Linear, Path};
use crate::ops;

/// Sizes of the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResNetFpnConfig {
    /// Height and width of the masks, a multiple of 32.
    pub mask_size: usize,
    /// How many tokens come out: n.
    pub tokens: usize,
    /// The backbone.
    pub backbone: ResNetConfig,
    /// Channels of the feature pyramid.
    pub pyramid: usize,
    /// Each pyramid level is averaged to grid x grid cells before the fully connected networks: where the defect is must survive the pooling.
    pub grid: usize,
    /// Hidden width of each token's network.
    pub hidden: usize,
    /// Root mean square that untrained outputs have: that of a token embedding, so that training starts near the words that the text encoder knows.
    pub output_scale: f32,
}

impl ResNetFpnConfig {
    /// ResNet-50 and a pyramid of 256 channels.
    pub fn full(mask_size: usize, tokens: usize, output_scale: f32) -> Self {
        Self { mask_size, tokens, backbone: ResNetConfig::resnet50(), pyramid: 256, grid: 4, hidden: 512, output_scale }
    }

    /// The narrow one of the embedded model: about 0.6 M parameters at context width 128.
    pub fn narrow(mask_size: usize, tokens: usize, output_scale: f32) -> Self {
        let backbone = ResNetConfig { width: 16, layers: [1, 1, 1, 1], ..ResNetConfig::resnet50() };
        Self { mask_size, tokens, backbone, pyramid: 32, grid: 4, hidden: 64, output_scale }
    }
}

/// ResNet, feature pyramid, one two-layer network per token.
///
/// # Shapes
/// `[batch, s, s, 3] -> [batch, n, width]`.
#[derive(Clone, Debug)]
pub struct ResNetFpnEncoder {
    backbone: ResNet,
    pyramid: FeaturePyramid,
    heads: Vec<(Linear, Linear)>,
    grid: usize,
    mask_size: usize,
}

impl ResNetFpnEncoder {
    /// Checkpoint names: the backbone's without prefix (a torchvision file loads as it is), `fpn.*`, `heads.K.0.*`, `heads.K.2.*`.
    pub fn new(path: &Path, config: &ResNetFpnConfig, width: usize) -> Result<Self> {
        ensure!(
            config.mask_size > 0 && config.mask_size.is_multiple_of(32),
            "the spatial encoder's mask size is a multiple of 32, found {}",
            config.mask_size
        );
        let backbone = ResNet::new(path, &config.backbone)?;
        let pyramid = FeaturePyramid::new(&path.child("fpn"), &backbone.channels(), config.pyramid)?;
        let inputs = backbone.channels().len() * config.grid * config.grid * config.pyramid;
        let mut heads = Vec::with_capacity(config.tokens);
        for token in 0..config.tokens {
            let path = path.child("heads").child(token);
            heads.push((Linear::new(&path.child(0), inputs, config.hidden)?, output_layer(&path.child(2), config, width)?));
        }
        Ok(Self { backbone, pyramid, heads, grid: config.grid, mask_size: config.mask_size })
    }

    /// Token embeddings of mask pictures.
    pub fn forward(&self, image: &Var, training: bool) -> Result<Var> {
        let [batch, height, width, _] = image.dims::<4>()?;
        ensure!(
            height == self.mask_size && width == self.mask_size,
            "the spatial encoder takes masks of {0}x{0}, found {height}x{width}",
            self.mask_size
        );
        let levels = self.pyramid.forward(&self.backbone.features(image, training)?)?;
        let pooled = levels.iter().map(|level| ops::area_pool(level, self.grid, self.grid)).collect::<Result<Vec<_>>>()?;
        let features = ops::concat(&pooled.iter().collect::<Vec<_>>(), 3)?;
        let features = ops::reshape(&features, &[batch, features.elements() / batch.max(1)])?;
        let mut tokens = Vec::with_capacity(self.heads.len());
        for (first, second) in &self.heads {
            let token = second.forward(&ops::relu(&first.forward(&features)?)?)?;
            tokens.push(ops::reshape(&token, &[batch, 1, token.dim(1)])?);
        }
        ops::concat(&tokens.iter().collect::<Vec<_>>(), 1)
    }
}

/// The last layer starts with small weights, and a bias of the output's scale so that the tokens of one mask differ.
fn output_layer(path: &Path, config: &ResNetFpnConfig, width: usize) -> Result<Linear> {
    let deviation = config.output_scale / (config.hidden as f32).sqrt();
    let weight = path.parameter("weight", &[width, config.hidden], Init::Normal(deviation))?;
    let bias = path.parameter("bias", &[width], Init::Normal(config.output_scale))?;
    Ok(Linear::from_parameters(weight, Some(bias)))
}
