//! The two residual blocks.

use super::{BATCH_NORM_EPSILON, BlockKind};
use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{BatchNorm2d, Conv2d, Path};
use crate::ops::{self, Conv2dOptions};

/// A convolution without bias and the batch norm behind it.
#[derive(Clone, Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl ConvNorm {
    fn new(conv: &Path, norm: &Path, inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Result<Self> {
        let options = Conv2dOptions::new(stride, kernel / 2);
        Ok(Self { conv: Conv2d::without_bias(conv, inputs, outputs, kernel, options)?, norm: BatchNorm2d::new(norm, outputs, BATCH_NORM_EPSILON)? })
    }

    fn forward(&self, x: &Var, training: bool) -> Result<Var> {
        self.norm.forward(&self.conv.forward(x)?, training)
    }
}

/// x + branch(x), then ReLU; the branch is two or three [`ConvNorm`]s with ReLU between.
///
/// # Shapes
/// `[batch, height, width, inputs] -> [batch, height / stride, width / stride, width * expansion]`.
#[derive(Clone, Debug)]
pub(super) struct Block {
    branch: Vec<ConvNorm>,
    shortcut: Option<ConvNorm>,
}

impl Block {
    /// Checkpoint names: `convN.weight`, `bnN.*` with N from 1, `downsample.0.weight`, `downsample.1.*`.
    pub(super) fn new(path: &Path, kind: BlockKind, inputs: usize, width: usize, stride: usize) -> Result<Self> {
        let outputs = width * kind.expansion();
        // (inputs, outputs, kernel, stride); torchvision puts a bottleneck's stride on its 3x3 convolution.
        let sizes = match kind {
            BlockKind::Basic => vec![(inputs, width, 3, stride), (width, width, 3, 1)],
            BlockKind::Bottleneck => vec![(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)],
        };
        let mut branch = Vec::with_capacity(sizes.len());
        for (position, (from, to, kernel, stride)) in sizes.into_iter().enumerate() {
            let (conv, norm) = (path.child(format!("conv{}", position + 1)), path.child(format!("bn{}", position + 1)));
            branch.push(ConvNorm::new(&conv, &norm, from, to, kernel, stride)?);
        }
        let shortcut = if stride != 1 || inputs != outputs {
            let path = path.child("downsample");
            Some(ConvNorm::new(&path.child(0), &path.child(1), inputs, outputs, 1, stride)?)
        } else {
            None
        };
        Ok(Self { branch, shortcut })
    }

    pub(super) fn forward(&self, x: &Var, training: bool) -> Result<Var> {
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, training)?,
            None => x.clone(),
        };
        let mut y = x.clone();
        for (position, layer) in self.branch.iter().enumerate() {
            if position > 0 {
                y = ops::relu(&y)?;
            }
            y = layer.forward(&y, training)?;
        }
        ops::relu(&ops::add(&y, &shortcut)?)
    }
}
