//! RGB pictures: load, resize, crop, flip, save.

mod budget;
mod load;
#[cfg(test)]
mod tests;

use std::path::Path;

use image::ImageEncoder;
use image::codecs::png::PngEncoder;

pub use budget::MOST_BYTES;
pub use load::{Decoded, MOST_FILE_BYTES, decode, dimensions};

use crate::data::rectangle::Rectangle;
use crate::data::resample::{Filter, Precision, Resampling, resample};
use crate::error::{Context, Result, ensure};
use crate::files::write_bytes_atomic;
use crate::tensor::Tensor;

/// An RGB picture: `width` x `height` pixels, each of three f32 in [-1, 1], row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<f32>,
}

impl Picture {
    /// What a pixel takes in memory.
    pub const BYTES_PER_PIXEL: u64 = 12;

    /// Wraps pixels that are already in order; panics when there are not `3 * width * height` of them or none.
    pub fn from_parts(width: usize, height: usize, pixels: Vec<f32>) -> Self {
        assert!(width > 0 && height > 0 && pixels.len() == 3 * width * height, "a {width}x{height} picture of {} values", pixels.len());
        Self { width, height, pixels }
    }

    /// Reads PNG, JPEG, BMP, TIFF, WebP or PNM, recognised by content and not by name.
    ///
    /// Any colour type becomes RGB: grey is repeated, palettes are looked up, 16 bits and floats keep their precision, alpha is dropped (the
    /// colours beneath stay, as Pillow's `convert("RGB")` has it). An EXIF orientation is applied. Of an animation the first frame is taken.
    /// The limit is [`MOST_BYTES`] of memory on the way: 100 megapixels of up to 16-bit RGB load.
    ///
    /// # Errors
    /// Exit code 2, naming the file and the reason: unreadable, unknown format, damaged, or over the limits of [`decode`].
    pub fn load(path: &Path) -> Result<Self> {
        let decoded = decode(path, Self::BYTES_PER_PIXEL)?;
        let ((width, height), largest) = (decoded.size(), decoded.largest());
        let mut pixels = Vec::with_capacity(3 * width * height);
        if largest == 255.0 {
            decoded.for_each_pixel(|pixel| pixels.extend(pixel.map(from_level)));
        } else {
            // As the `image` crate rounds: grey by the reciprocal, colours by division.
            let (is_grey, factor) = (decoded.is_grey(), 1.0 / largest);
            decoded.for_each_pixel(|pixel| pixels.extend(pixel.map(|x| from_unit(if is_grey { x * factor } else { x / largest }))));
        }
        Ok(Self { width, height, pixels })
    }

    /// From `[height, width, 3]` or `[1, height, width, 3]`, clipped to [-1, 1]; NaN becomes -1.
    ///
    /// # Errors
    /// For any other shape.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let (height, width) = match *tensor.shape() {
            [1, height, width, 3] | [height, width, 3] if height > 0 && width > 0 => (height, width),
            _ => crate::error::bail!("a picture has shape [1, height, width, 3], found {:?}", tensor.shape()),
        };
        let pixels = tensor.f32s()?.iter().map(|&x| if x.is_nan() { -1.0 } else { x.clamp(-1.0, 1.0) }).collect();
        Ok(Self { width, height, pixels })
    }

    /// `[1, height, width, 3]`.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Tensor::from_f32(self.pixels.clone(), &[1, self.height, self.width, 3])
    }

    /// Equally large pictures as one `[batch, height, width, 3]`.
    ///
    /// # Errors
    /// When there is none or the sizes differ.
    pub fn stack(pictures: &[&Self]) -> Result<Tensor> {
        let first = pictures.first().context("a batch needs at least one picture")?;
        let mut pixels = Vec::with_capacity(pictures.len() * first.pixels.len());
        for picture in pictures {
            ensure!(
                (picture.width, picture.height) == (first.width, first.height),
                "a batch needs pictures of one size, found {}x{} and {}x{}",
                first.width,
                first.height,
                picture.width,
                picture.height
            );
            pixels.extend_from_slice(&picture.pixels);
        }
        Tensor::from_f32(pixels, &[pictures.len(), first.height, first.width, 3])
    }

    /// Pixels per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, interleaved: `[height, width, 3]`.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// The three values of one pixel; panics outside of the picture.
    pub fn pixel(&self, column: usize, row: usize) -> [f32; 3] {
        let first = 3 * (row * self.width + column);
        [self.pixels[first], self.pixels[first + 1], self.pixels[first + 2]]
    }

    /// Antialiased bicubic with Pillow's rounding to 8 bits: the bytes of its `resize(..., BICUBIC)`. Sizes at least 1.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let how = Resampling { filter: Filter::Bicubic, antialias: true, precision: Precision::EightBit };
        Self { width, height, pixels: resample(&self.pixels, [self.height, self.width], 3, [height, width], how) }
    }

    /// The part inside `area`, which must lie in the picture and not be empty.
    pub fn cropped(&self, area: Rectangle) -> Self {
        area.check_inside(self.width, self.height);
        let rows = (area.top..area.bottom()).flat_map(|row| {
            let first = 3 * (row * self.width + area.left);
            &self.pixels[first..first + 3 * area.width]
        });
        Self { width: area.width, height: area.height, pixels: rows.copied().collect() }
    }

    /// Left and right exchanged.
    pub fn flipped_horizontally(&self) -> Self {
        let rows = self.pixels.chunks(3 * self.width);
        Self { pixels: rows.flat_map(|row| row.chunks(3).rev().flatten()).copied().collect(), ..*self }
    }

    /// Top and bottom exchanged.
    pub fn flipped_vertically(&self) -> Self {
        Self { pixels: self.pixels.chunks(3 * self.width).rev().flatten().copied().collect(), ..*self }
    }

    /// This picture with `over` laid on it by `alpha` `[height, width]`: exactly this one where alpha is 0, exactly `over` where it is 1.
    ///
    /// # Errors
    /// When the sizes differ.
    pub fn blended(&self, over: &Self, alpha: &[f32]) -> Result<Self> {
        ensure!(
            (self.width, self.height) == (over.width, over.height) && alpha.len() == self.width * self.height,
            "blending a {}x{} picture over {}x{} by {} values",
            over.width,
            over.height,
            self.width,
            self.height,
            alpha.len()
        );
        let weights = alpha.iter().flat_map(|&share| [share; 3]);
        let pixels = self.pixels.iter().zip(&over.pixels).zip(weights).map(|((&below, &above), share)| below * (1.0 - share) + above * share);
        Ok(Self { pixels: pixels.collect(), ..*self })
    }

    /// The pixels as 8-bit RGB, `round((x + 1) * 127.5)`: the inverse of loading an 8-bit file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.pixels.iter().map(|x| ((x + 1.0) * 127.5).round() as u8).collect()
    }

    /// What is left of the picture after it went through an 8-bit file.
    pub fn quantized(&self) -> Self {
        Self { pixels: from_bytes(&self.to_bytes()), ..*self }
    }

    /// The picture as an 8-bit RGB PNG file.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        encode_png(&self.to_bytes(), self.width, self.height, image::ExtendedColorType::Rgb8)
    }

    /// Writes an 8-bit RGB PNG under a temporary name and renames it: the file is whole or absent.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_bytes_atomic(path, &self.to_png()?)
    }
}

/// 8-bit samples to [-1, 1].
fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&x| from_level(f32::from(x))).collect()
}

/// One of the levels 0 to 255 to [-1, 1].
fn from_level(x: f32) -> f32 {
    x / 127.5 - 1.0
}

/// Floats in 0..=1 (and beyond, from HDR files) to [-1, 1]; NaN becomes black.
fn from_unit(x: f32) -> f32 {
    if x.is_nan() { -1.0 } else { x.clamp(0.0, 1.0) * 2.0 - 1.0 }
}

/// A PNG file of 8-bit samples.
pub(in crate::data) fn encode_png(bytes: &[u8], width: usize, height: usize, color: image::ExtendedColorType) -> Result<Vec<u8>> {
    let mut encoded = Vec::new();
    let size = |side: usize| u32::try_from(side).with_context(|| format!("a PNG file cannot have a side of {side} pixels"));
    PngEncoder::new(&mut encoded).write_image(bytes, size(width)?, size(height)?, color).context("encoding a PNG file")?;
    Ok(encoded)
}
