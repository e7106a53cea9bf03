//! Blocks that the UNet and the autoencoder share.

mod resnet;
mod sampling;

pub use resnet::{ResnetBlock, ResnetSizes};
pub use sampling::{Downsample, Upsample};
