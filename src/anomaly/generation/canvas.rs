//! The part of a batch that needs no network: pictures and masks in the shapes that the steps want.

use super::Generator;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;

/// What a batch's images are painted on, in host memory.
#[derive(Debug)]
pub struct Canvas {
    /// The normal images, `[batch, height, width, 3]`.
    pub(super) pictures: Tensor,
    /// `[batch, height, width, 1]`.
    pub(super) pixel_masks: Tensor,
    /// Of the latent's size.
    pub(super) cells: Vec<Mask>,
    /// The same, `[batch, h, w, 1]`.
    pub(super) masks: Tensor,
}

impl Generator<'_> {
    /// The canvas of a batch, from each image's normal picture and mask; another thread than the computing one may make it.
    ///
    /// # Errors
    /// When the pictures or masks are of several sizes, or there are none.
    pub fn canvas(&self, images: &[(&Picture, &Mask)]) -> Result<Canvas> {
        ensure!(!images.is_empty(), "a batch needs at least one image");
        let (factor, rule) = (self.base.vae.downscale(), self.learned.metadata.preset.cells);
        let cell = |&(picture, mask): &(&Picture, &Mask)| mask.resized(picture.width() / factor, picture.height() / factor, rule);
        let cells: Vec<Mask> = images.iter().map(cell).collect();
        Ok(Canvas {
            pictures: Picture::stack(&images.iter().map(|(picture, _)| *picture).collect::<Vec<_>>())?,
            pixel_masks: Mask::stack(&images.iter().map(|(_, mask)| *mask).collect::<Vec<_>>())?,
            masks: Mask::stack(&cells.iter().collect::<Vec<_>>())?,
            cells,
        })
    }
}
