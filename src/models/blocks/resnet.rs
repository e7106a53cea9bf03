//! The residual block of two normalised convolutions: diffusers `ResnetBlock2D` (`models/resnet.py`).

use crate::autograd::Var;
use crate::error::{Result, anyhow};
use crate::nn::{Conv2d, GroupNorm, Linear, Path};
use crate::ops::{Conv2dOptions, Epilogue, Joined};

/// Sizes of a [`ResnetBlock`].
#[derive(Clone, Copy, Debug)]
pub struct ResnetSizes {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Width of the time embedding; `None` for a block that sees no time.
    pub time: Option<usize>,
    /// Groups of both normalisations.
    pub groups: usize,
    /// Added to both variances.
    pub epsilon: f32,
}

/// conv(silu(norm(conv(silu(norm(x))) + time))) + shortcut(x).
///
/// # Shapes
/// `x [batch, height, width, inputs] -> [batch, height, width, outputs]`; time is `[batch, outputs]`.
#[derive(Clone, Debug)]
pub struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_projection: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Linear>,
}

impl ResnetBlock {
    /// Checkpoint names: `norm1`, `conv1`, `time_emb_proj`, `norm2`, `conv2`, and `conv_shortcut` (1x1) where the channels change.
    pub fn new(path: &Path, sizes: ResnetSizes) -> Result<Self> {
        let ResnetSizes { inputs, outputs, time, groups, epsilon } = sizes;
        let same = Conv2dOptions::new(1, 1);
        Ok(Self {
            norm1: GroupNorm::new(&path.child("norm1"), groups, inputs, epsilon)?,
            conv1: Conv2d::new(&path.child("conv1"), inputs, outputs, 3, same)?,
            time_projection: time.map(|time| Linear::new(&path.child("time_emb_proj"), time, outputs)).transpose()?,
            norm2: GroupNorm::new(&path.child("norm2"), groups, outputs, epsilon)?,
            conv2: Conv2d::new(&path.child("conv2"), outputs, outputs, 3, same)?,
            shortcut: (inputs != outputs).then(|| Linear::pointwise(&path.child("conv_shortcut"), inputs, outputs)).transpose()?,
        })
    }

    /// The block's projection of silu of the time embedding, `[batch, time] -> [batch, outputs]`.
    ///
    /// # Errors
    /// For a block that sees no time.
    pub fn project_time(&self, activated_time: &Var) -> Result<Var> {
        let projection = self.time_projection.as_ref().ok_or_else(|| anyhow!("this residual block sees no time"))?;
        projection.forward(activated_time)
    }

    /// Applies the block to an image, whose channels may lie in two tensors. `time` is from [`ResnetBlock::project_time`].
    pub fn forward<'a>(&self, x: impl Into<Joined<'a>>, time: Option<&Var>) -> Result<Var> {
        let x = x.into();
        // Two readers that would each write it, or nobody who reads it where it lies.
        if x.second.is_some() && (x.wants_gradient() || self.shortcut.is_none()) {
            return self.forward(&x.written()?, time);
        }
        let hidden = self.norm1.forward_silu(x)?;
        let hidden = self.conv1.forward_with(&hidden, Epilogue { per_channel: time, ..Epilogue::default() })?;
        let hidden = self.norm2.forward_silu(&hidden)?;
        let shortcut = self.shortcut.as_ref().map(|shortcut| shortcut.forward_joined(x)).transpose()?;
        let residual = Some(shortcut.as_ref().unwrap_or(x.first));
        self.conv2.forward_with(&hidden, Epilogue { residual, ..Epilogue::default() })
    }
}
