//! Feature pyramid (Lin et al., arXiv 1612.03144), as torchvision's `FeaturePyramidNetwork`.

use crate::autograd::Var;
use crate::error::{Result, ensure};
use crate::nn::{Conv2d, Path};
use crate::ops::{self, Conv2dOptions};

/// Brings maps of several depths to one width and adds each coarser one to the next finer.
///
/// # Shapes
/// Maps `[batch, h, w, channels of the level]`, each level's size twice the next one's -> maps `[batch, h, w, width]`.
#[derive(Clone, Debug)]
pub struct FeaturePyramid {
    inner: Vec<Conv2d>,
    layer: Vec<Conv2d>,
}

impl FeaturePyramid {
    /// Checkpoint names: `inner_blocks.L.0.{weight,bias}` (1x1), `layer_blocks.L.0.{weight,bias}` (3x3).
    pub fn new(path: &Path, channels: &[usize], width: usize) -> Result<Self> {
        let (mut inner, mut layer) = (Vec::new(), Vec::new());
        for (level, &inputs) in channels.iter().enumerate() {
            inner.push(Conv2d::new(&path.child("inner_blocks").child(level).child(0), inputs, width, 1, Conv2dOptions::new(1, 0))?);
            layer.push(Conv2d::new(&path.child("layer_blocks").child(level).child(0), width, width, 3, Conv2dOptions::new(1, 1))?);
        }
        Ok(Self { inner, layer })
    }

    /// The fused maps, finest first as given.
    pub fn forward(&self, features: &[Var]) -> Result<Vec<Var>> {
        ensure!(features.len() == self.inner.len(), "expected {} feature maps, found {}", self.inner.len(), features.len());
        let mut fused = Vec::with_capacity(features.len());
        let mut coarser: Option<Var> = None;
        for (level, feature) in features.iter().enumerate().rev() {
            let mut lateral = self.inner[level].forward(feature)?;
            if let Some(coarser) = &coarser {
                lateral = ops::add(&lateral, &ops::upsample_nearest(coarser, 2)?)?;
            }
            fused.push(self.layer[level].forward(&lateral)?);
            coarser = Some(lateral);
        }
        fused.reverse();
        Ok(fused)
    }
}
