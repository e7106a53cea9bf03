//! Weights of image positions on the attention to some tokens, at every resolution of the network (METHOD section 8).

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::ops::{self, Reweighting};
use crate::tensor::Tensor;

/// Adaptive re-weighting as the caller knows it: at the latent's resolution.
#[derive(Clone, Debug)]
pub struct AttentionWeights {
    /// `[batch, tokens]`: 1 for a token of the context that the weights apply to, 0 for the others.
    pub columns: Tensor,
    /// `[batch, height, width]`: multiplies the softmaxed cross-attention (paper, Eq. 8); averaged over the area of each layer's positions.
    pub probability: Option<Tensor>,
    /// `[batch, height, width]`: multiplies the scaled logits (released program); resized bilinearly without antialiasing.
    pub logit: Option<Tensor>,
}

impl AttentionWeights {
    /// The weights of each level's positions on `device`, given each level's height and width.
    pub(super) fn resized(&self, sizes: &[(usize, usize)], device: Device) -> Result<Vec<Reweighting>> {
        let resize = |map: &Option<Tensor>, (height, width), how: fn(&Var, usize, usize) -> Result<Var>| -> Result<Option<Tensor>> {
            let Some(map) = map else { return Ok(None) };
            let [batch, rows, columns] = map.dims()?;
            ensure!((rows, columns) == sizes[0], "attention weights are {rows}x{columns}, expected the latent's {}x{}", sizes[0].0, sizes[0].1);
            let image = Var::constant(map.to_device(device)?.reshape(&[batch, rows, columns, 1])?);
            Ok(Some(how(&image, height, width)?.into_tensor().reshape(&[batch, height * width])?))
        };
        let columns = self.columns.to_device(device)?;
        let level = |&size: &(usize, usize)| {
            Ok(Reweighting {
                columns: columns.clone(),
                probability: resize(&self.probability, size, ops::area_pool)?,
                logit: resize(&self.logit, size, |map, height, width| ops::resize_bilinear(map, height, width, false))?,
            })
        };
        sizes.iter().map(level).collect()
    }
}
