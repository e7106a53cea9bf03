//! A picture with its mask in little memory, and batches of them.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::anomaly::inversion::resized_mask;
use crate::data::augmentation::Sample;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::{Context, Result};
use crate::tensor::Tensor;

/// A square picture in 8 bits, as from a file, and its mask: a quarter of a [`Sample`]'s memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Specimen {
    /// RGB, row by row.
    bytes: Vec<u8>,
    mask: Mask,
}

impl Specimen {
    /// Reads a picture at `side` x `side` pixels; without a mask file nothing on it is a defect.
    ///
    /// # Errors
    /// When a file cannot be read (exit code 2).
    pub fn load(picture: &Path, mask: Option<&Path>, side: usize) -> Result<Self> {
        let mask = match mask {
            Some(path) => resized_mask(&Mask::load(path)?, side),
            None => Mask::empty(side, side),
        };
        Ok(Self { bytes: Picture::load(picture)?.resized(side, side).to_bytes(), mask })
    }

    /// The picture, in [-1, 1].
    pub fn picture(&self) -> Picture {
        let pixels = self.bytes.iter().map(|&x| f32::from(x) / 127.5 - 1.0).collect();
        Picture::from_parts(self.mask.width(), self.mask.height(), pixels)
    }

    /// Picture and mask.
    pub fn sample(&self) -> Sample {
        Sample { picture: self.picture(), mask: self.mask.clone() }
    }

    /// Where the defect is.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// The picture in 8 bits.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds picture and mask to a digest.
    pub(in crate::evaluation) fn hash(&self, hash: &mut Sha256) {
        hash.update((self.mask.width() as u64).to_le_bytes());
        hash.update(&self.bytes);
        hash.update(self.mask.pixels().iter().map(|&set| u8::from(set)).collect::<Vec<_>>());
    }
}

impl From<Sample> for Specimen {
    fn from(sample: Sample) -> Self {
        Self { bytes: sample.picture.to_bytes(), mask: sample.mask }
    }
}

/// Pictures in [0, 1] `[batch, side, side, 3]` and masks `[batch, side, side, 1]` of 0 and 1.
///
/// # Errors
/// Without specimens, or when their sizes differ.
pub fn batch(specimens: &[&Specimen]) -> Result<(Tensor, Tensor)> {
    let masks = Mask::stack(&specimens.iter().map(|specimen| &specimen.mask).collect::<Vec<_>>())?;
    let [count, height, width, _] = masks.dims()?;
    let pixels: Vec<f32> = specimens.iter().flat_map(|specimen| &specimen.bytes).map(|&x| f32::from(x) / 255.0).collect();
    Ok((Tensor::from_f32(pixels, &[count, height, width, 3]).context("a batch of pictures")?, masks))
}
