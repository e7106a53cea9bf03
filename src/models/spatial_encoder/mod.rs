//! The spatial encoder E: a defect mask to n token embeddings e_s (METHOD section 4; paper section "Spatial Anomaly Embedding").

mod feature_pyramid;
mod psp;
mod resnet_fpn;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::autograd::Var;
use crate::error::{Result, ensure};
use crate::nn::Path;
use crate::ops;
use crate::tensor::Tensor;

pub use feature_pyramid::FeaturePyramid;
pub use psp::{PspConfig, PspEncoder};
pub use resnet_fpn::{ResNetFpnConfig, ResNetFpnEncoder};

/// Which encoder, and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SpatialEncoderConfig {
    /// ResNet and feature pyramid, the paper's description.
    ResnetFpn(ResNetFpnConfig),
    /// The released program's pSp encoder on IR-50.
    Psp(PspConfig),
    /// No encoder and no tokens: the ablation without the spatial embedding.
    None,
}

/// Side of the masks where no encoder looks at them.
const UNSEEN_MASK: usize = 1;

impl SpatialEncoderConfig {
    /// Height and width that masks are brought to before they enter.
    pub fn mask_size(&self) -> usize {
        match self {
            Self::ResnetFpn(config) => config.mask_size,
            Self::Psp(config) => config.mask_size,
            Self::None => UNSEEN_MASK,
        }
    }

    /// How many tokens come out: n.
    pub fn tokens(&self) -> usize {
        match self {
            Self::ResnetFpn(config) => config.tokens,
            Self::Psp(config) => config.tokens,
            Self::None => 0,
        }
    }
}

/// A mask to n token embeddings.
///
/// # Shapes
/// masks `[batch, s, s, 1]` of 0 and 1, with s = [`SpatialEncoderConfig::mask_size`] -> `[batch, n, width]`.
#[derive(Clone, Debug)]
pub enum SpatialEncoder {
    /// ResNet and feature pyramid.
    ResnetFpn(ResNetFpnEncoder),
    /// pSp on IR-50.
    Psp(PspEncoder),
    /// Nothing; `[batch, 0, width]` of this width comes out.
    None(usize),
}

impl SpatialEncoder {
    /// Builds the encoder that `config` names; `width` is the context's width.
    pub fn new(path: &Path, config: &SpatialEncoderConfig, width: usize) -> Result<Self> {
        Ok(match config {
            SpatialEncoderConfig::ResnetFpn(config) => Self::ResnetFpn(ResNetFpnEncoder::new(path, config, width)?),
            SpatialEncoderConfig::Psp(config) => Self::Psp(PspEncoder::new(path, config, width)?),
            SpatialEncoderConfig::None => Self::None(width),
        })
    }

    /// Token embeddings of masks. With `training`, batch norm uses the statistics of these masks and moves the running ones.
    pub fn forward(&self, masks: &Tensor, training: bool) -> Result<Var> {
        let image = mask_image(masks)?;
        match self {
            Self::ResnetFpn(encoder) => encoder.forward(&image, training),
            Self::Psp(encoder) => encoder.forward(&image, training),
            Self::None(width) => Ok(Var::constant(Tensor::zeros(&[masks.dim(0), 0, *width]))),
        }
    }
}

/// A mask as a grey picture: three equal channels in [-1, 1].
fn mask_image(masks: &Tensor) -> Result<Var> {
    let [.., channels] = masks.dims::<4>()?;
    ensure!(channels == 1, "masks have one channel, [batch, height, width, 1]; found shape {:?}", masks.shape());
    let signed = ops::affine(&Var::constant(masks.clone()), 2.0, -1.0)?;
    ops::concat(&[&signed, &signed, &signed], 3)
}
