//! Inception-v3 (Szegedy et al., arXiv 1512.00567) as torchvision has it, for judging generated pictures: class probabilities for the Inception Score,
//! pooled features for KID. Names are torchvision's; its auxiliary classifier, which only training uses, is left out.

mod mixed;
#[cfg(test)]
mod tests;

use std::path::Path as FilePath;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::nn::{BatchNorm2d, Conv2d, Linear, Path, Placement};
use crate::ops::{self, Conv2dOptions};
use crate::tensor::Tensor;
use crate::weights::Archive;
use mixed::{Mixed, blocks};

/// Classes of ImageNet.
pub const CLASSES: usize = 1000;
/// Pooled features.
pub const FEATURES: usize = 2048;
/// Side in pixels of the pictures that it was trained on.
pub const SIDE: usize = 299;

const EPSILON: f32 = 1e-3;

/// What the network says of a batch of pictures.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Means over the last map: `[batch, FEATURES]`.
    pub features: Tensor,
    /// Logits: `[batch, CLASSES]`.
    pub logits: Tensor,
}

/// The network in evaluation mode. It computes and answers where its parameters are.
///
/// # Shapes
/// Picture `[batch, height, width, 3]` in [-1, 1], sides of 75 or more; the published weights want [`SIDE`].
#[derive(Clone, Debug)]
pub struct Inception {
    /// Up to the first pooling, then up to the second.
    stem: [Vec<BasicConv>; 2],
    blocks: Vec<Mixed>,
    fc: Linear,
}

impl Inception {
    /// Checkpoint names: `Conv2d_1a_3x3.conv.weight`, `Mixed_5b.branch1x1.bn.*`, `fc.*` and so on.
    pub fn new(path: &Path) -> Result<Self> {
        // (name, inputs, outputs, kernel, stride, padding)
        let rows = [
            ("Conv2d_1a_3x3", 3, 32, 3, 2, 0),
            ("Conv2d_2a_3x3", 32, 32, 3, 1, 0),
            ("Conv2d_2b_3x3", 32, 64, 3, 1, 1),
            ("Conv2d_3b_1x1", 64, 80, 1, 1, 0),
            ("Conv2d_4a_3x3", 80, 192, 3, 1, 0),
        ];
        let layer = |&(name, inputs, outputs, kernel, stride, padding): &(&str, usize, usize, usize, usize, usize)| {
            BasicConv::new(&path.child(name), inputs, outputs, [kernel; 2], Conv2dOptions::new(stride, padding))
        };
        let part = |rows: &[_]| rows.iter().map(layer).collect::<Result<Vec<_>>>();
        let stem = [part(&rows[..3])?, part(&rows[3..])?];
        Ok(Self { stem, blocks: blocks(path, 192)?, fc: Linear::new(&path.child("fc"), FEATURES, CLASSES)? })
    }

    /// Reads torchvision's weights from a safetensors file onto a device, in f32.
    ///
    /// # Errors
    /// When the file cannot be read or is of another network (exit code 2).
    pub fn load(path: &FilePath, device: Device) -> Result<Self> {
        let archive = Archive::open(path)?.with_placement(Placement::f32(device));
        let model = Self::new(&Path::root(&archive))?;
        archive.finish_except(|name| name.starts_with("AuxLogits."))?;
        Ok(model)
    }

    /// Features and logits.
    pub fn forward(&self, picture: &Tensor) -> Result<Answer> {
        let mut x = self.fc.placement().enter(&Var::constant(picture.clone()))?;
        for part in &self.stem {
            for layer in part {
                x = layer.forward(&x)?;
            }
            x = ops::max_pool(&x, 3, 2, 0)?;
        }
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let features = ops::reshape(&ops::area_pool(&x, 1, 1)?, &[picture.dim(0), FEATURES])?;
        Ok(Answer { logits: self.fc.forward(&features)?.into_tensor(), features: features.into_tensor() })
    }
}

/// Convolution without bias, batch norm, ReLU.
#[derive(Clone, Debug)]
struct BasicConv {
    conv: Conv2d,
    bn: BatchNorm2d,
}

impl BasicConv {
    fn new(path: &Path, inputs: usize, outputs: usize, kernel: [usize; 2], options: Conv2dOptions) -> Result<Self> {
        let conv = Conv2d::rectangular(&path.child("conv"), inputs, outputs, kernel, options)?;
        Ok(Self { conv, bn: BatchNorm2d::new(&path.child("bn"), outputs, EPSILON)? })
    }

    fn forward(&self, x: &Var) -> Result<Var> {
        ops::relu(&self.bn.forward(&self.conv.forward(x)?, false)?)
    }
}
