//! The spatial encoder's sizes for a base model: the published ones for the published models, narrow ones for small models.

use crate::models::spatial_encoder::{PspConfig, ResNetFpnConfig, SpatialEncoderConfig};

/// Base models with a narrower context than this are miniatures; the narrowest published text encoder is 768 wide.
const MINIATURE: usize = 512;

/// Masks are no larger than this when they enter the encoder.
const LARGEST_MASK: usize = 256;

/// ResNet-50 and a pyramid of 256 channels, or the narrow one.
pub(super) fn resnet_fpn(width: usize, resolution: usize, tokens: usize, scale: f32) -> SpatialEncoderConfig {
    let mask_size = resolution.div_ceil(32).clamp(1, LARGEST_MASK / 32) * 32;
    SpatialEncoderConfig::ResnetFpn(if width < MINIATURE {
        ResNetFpnConfig::narrow(mask_size, tokens, scale)
    } else {
        ResNetFpnConfig::full(mask_size, tokens, scale)
    })
}

/// The released program's encoder, or one of the same form that suits a miniature.
pub(super) fn psp(width: usize, tokens: usize) -> SpatialEncoderConfig {
    SpatialEncoderConfig::Psp(if width < MINIATURE {
        PspConfig { mask_size: 64, tokens, stem: 8, units: [1, 1, 2, 1] }
    } else {
        PspConfig::released(tokens)
    })
}
