//! What a convolution reads.

use crate::autograd::Var;
use crate::error::Result;
use crate::invalid_input;
use crate::ops::{Joined, narrow, upsample_nearest};

/// The image of a convolution, which need not lie in memory as the windows meet it. Where gradients are wanted, it is written first.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub(super) image: Joined<'a>,
    /// Height and width to which the image's pixels are repeated.
    pub(super) doubled: Option<[usize; 2]>,
}

impl<'a> From<Joined<'a>> for Source<'a> {
    fn from(image: Joined<'a>) -> Self {
        Self { image, doubled: None }
    }
}

impl<'a> From<&'a Var> for Source<'a> {
    fn from(image: &'a Var) -> Self {
        Joined::from(image).into()
    }
}

impl<'a> From<[&'a Var; 2]> for Source<'a> {
    fn from(images: [&'a Var; 2]) -> Self {
        Joined::from(images).into()
    }
}

impl<'a> Source<'a> {
    /// Each pixel of `image [batch, height, width, channels]` twice along both axes, up to `size`: double height and width, or one less.
    pub fn doubled(image: &'a Var, size: [usize; 2]) -> Self {
        Self { image: image.into(), doubled: Some(size) }
    }

    /// The shape that the windows meet.
    pub(super) fn shape(&self) -> Result<Vec<usize>> {
        let mut shape = self.image.shape()?;
        let Some(size) = self.doubled else { return Ok(shape) };
        let fits = shape.len() == 4 && size.iter().zip(&shape[1..]).all(|(&size, &half)| size.div_ceil(2) == half);
        if !fits {
            invalid_input!("conv2d: pixels of an image {shape:?} repeated twice do not end at {} x {}", size[0], size[1]);
        }
        shape[1..3].copy_from_slice(&size);
        Ok(shape)
    }

    /// Whether it lies in memory as the windows meet it.
    pub(super) fn is_written(&self) -> bool {
        self.doubled.is_none() && self.image.second.is_none()
    }

    /// The image as the windows meet it.
    pub(super) fn written(&self) -> Result<Var> {
        let mut image = self.image.written()?;
        let Some(size) = self.doubled else { return Ok(image) };
        image = upsample_nearest(&image, 2)?;
        for (axis, size) in [(1, size[0]), (2, size[1])] {
            if image.dim(axis) != size {
                image = narrow(&image, axis, 0, size)?;
            }
        }
        Ok(image)
    }
}
