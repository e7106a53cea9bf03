//! What a batch is made of: what its steps share and what they change.

use crate::anomaly::generation::ImageStreams;
use crate::anomaly::guidance::GuidedContext;
use crate::error::Result;
use crate::ops::{Background, Updates};
use crate::tensor::Tensor;
use crate::tensor::random::Stream;
use crate::tensor::replay::Tensors;

/// What stays the same over the steps of one batch.
#[derive(Clone)]
pub(super) struct Batch {
    /// `[batch, height, width, 3]`.
    pub pictures: Tensor,
    /// `[batch, height, width, 1]`.
    pub pixel_masks: Tensor,
    /// Of the latent's size: `[batch, h, w, 1]`.
    pub masks: Tensor,
    /// Where masks change from step to step: those behind each step, `[steps, batch · h · w]`.
    pub masks_behind: Option<Tensor>,
    /// z0(y), scaled: `[batch, h, w, channels]`.
    pub normal: Tensor,
    pub context: GuidedContext,
    /// `[batch, length]`.
    pub columns: Tensor,
    pub updates: Updates,
}

impl Tensors for Batch {
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self {
            pictures: change(&self.pictures)?,
            pixel_masks: change(&self.pixel_masks)?,
            masks: change(&self.masks)?,
            masks_behind: self.masks_behind.map_tensors(change)?,
            normal: change(&self.normal)?,
            context: self.context.map_tensors(change)?,
            columns: change(&self.columns)?,
            updates: self.updates.map_tensors(change)?,
        })
    }
}

impl Batch {
    /// What stands outside of a step's masks.
    pub fn background<'a>(&'a self, masks: &'a Tensor) -> Background<'a> {
        Background { mask: masks, normal: &self.normal }
    }
}

/// One stream of each image.
pub(super) fn streams(images: &[ImageStreams], which: impl Fn(&ImageStreams) -> Stream) -> Vec<Stream> {
    images.iter().map(which).collect()
}

/// What a step changes.
#[derive(Clone)]
pub(super) struct State {
    /// The noisy latents, everywhere.
    pub latent: Tensor,
    /// The same inside of the masks, the noisy normal images outside.
    pub blended: Tensor,
    /// The masks that they were blended with, where these change; [`Batch::masks`] otherwise.
    pub masks: Option<Tensor>,
    /// The estimates of the clean latents at the step before. Before the first step there are none, and this holds the noise.
    pub estimate: Tensor,
    /// The weight maps `[batch, h, w]` of the step before, with re-weighting. Before the first step there are none, and this holds the masks.
    pub map: Option<Tensor>,
    /// The sum of all latents so far, shape `[]`: tells whether all numbers are finite.
    pub sum: Tensor,
}

impl Tensors for State {
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self {
            latent: change(&self.latent)?,
            blended: change(&self.blended)?,
            masks: self.masks.map_tensors(change)?,
            estimate: change(&self.estimate)?,
            map: self.map.map_tensors(change)?,
            sum: change(&self.sum)?,
        })
    }
}
