//! Binary masks: where a defect is.

mod distance;
mod moved;
mod regions;
mod resize;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use resize::CellRule;

use crate::data::picture::{Picture, decode, encode_png};
use crate::data::rectangle::Rectangle;
use crate::error::{Context, Result, ensure};
use crate::files::write_bytes_atomic;
use crate::tensor::Tensor;

/// What [`Mask::load_official`] makes of a pixel on the way: grey in a byte and in a float.
const OFFICIAL_BYTES_PER_PIXEL: u64 = 5;

/// A binary mask of `width` x `height` pixels, row by row.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    pixels: Vec<bool>,
}

impl Mask {
    /// What a pixel takes in memory.
    pub const BYTES_PER_PIXEL: u64 = 1;

    /// Wraps pixels that are already in order; panics when there are not `width * height` of them or none.
    pub fn from_parts(width: usize, height: usize, pixels: Vec<bool>) -> Self {
        assert!(width > 0 && height > 0 && pixels.len() == width * height, "a {width}x{height} mask of {} pixels", pixels.len());
        Self { width, height, pixels }
    }

    /// The pixels for which `inside(column, row)` holds; sizes at least 1.
    pub fn from_fn(width: usize, height: usize, inside: impl Fn(usize, usize) -> bool) -> Self {
        Self::from_parts(width, height, (0..width * height).map(|index| inside(index % width, index / width)).collect())
    }

    /// No pixel set; sizes at least 1.
    pub fn empty(width: usize, height: usize) -> Self {
        Self::from_parts(width, height, vec![false; width * height])
    }

    /// Reads a mask file of any image format and colour type: a pixel is set when any of its colour values is not 0 (alpha plays no part).
    ///
    /// Lossy files (JPEG) are cut at half of the range instead, because compression scatters small values around every edge.
    ///
    /// # Errors
    /// As [`decode`]: exit code 2, naming the file and the reason. An empty mask is not an error here.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(Self::load_counting(path)?.0)
    }

    /// As [`Mask::load`], and how many pixels lie between 0 and the file's largest value: 0 for a binary file.
    ///
    /// # Errors
    /// As [`Mask::load`].
    pub fn load_counting(path: &Path) -> Result<(Self, usize)> {
        let decoded = decode(path, Self::BYTES_PER_PIXEL)?;
        let ((width, height), full) = (decoded.size(), decoded.largest());
        let threshold = if decoded.is_jpeg() { 0.5 } else { f32::MIN_POSITIVE };
        let mut pixels = Vec::with_capacity(width * height);
        let (mut largest, mut of_largest, mut positive) = (0.0, 0, 0);
        decoded.for_each_pixel(|[red, green, blue]| {
            let brightest = red.max(green).max(blue) / full;
            pixels.push(brightest >= threshold);
            positive += usize::from(brightest > 0.0);
            if brightest > largest {
                (largest, of_largest) = (brightest, 0);
            }
            of_largest += usize::from(brightest > 0.0 && brightest == largest);
        });
        Ok((Self { width, height, pixels }, positive - of_largest))
    }

    /// Reads a mask file as the released program does: grey, bicubic to `width` x `height`, set from half of the range on.
    ///
    /// Source: `ldm/data/personalized.py`, `Personalized_mvtec_encoder`. Masks stored as 0/1 instead of 0/255 come out empty.
    ///
    /// # Errors
    /// As [`Mask::load`].
    pub fn load_official(path: &Path, width: usize, height: usize) -> Result<Self> {
        let decoded = decode(path, OFFICIAL_BYTES_PER_PIXEL)?;
        let (from_width, from_height) = decoded.size();
        let values: Vec<f32> = decoded.into_grey().into_iter().map(|x| f32::from(x) / 255.0).collect();
        Ok(resize::half_of_bicubic(&values, [from_height, from_width], width, height))
    }

    /// From `[height, width]`, `[height, width, 1]` or `[1, height, width, 1]`: set from 0.5 on.
    ///
    /// # Errors
    /// For any other shape.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let (height, width) = match *tensor.shape() {
            [height, width] | [height, width, 1] | [1, height, width, 1] if height > 0 && width > 0 => (height, width),
            _ => crate::error::bail!("a mask has shape [1, height, width, 1], found {:?}", tensor.shape()),
        };
        Ok(Self { width, height, pixels: tensor.f32s()?.iter().map(|&x| x >= 0.5).collect() })
    }

    /// `[1, height, width, 1]` of 0 and 1.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Self::stack(&[self])
    }

    /// Equally large masks as one `[batch, height, width, 1]` of 0 and 1.
    ///
    /// # Errors
    /// When there is none or the sizes differ.
    pub fn stack(masks: &[&Self]) -> Result<Tensor> {
        let first = masks.first().context("a batch needs at least one mask")?;
        let (width, height) = (first.width, first.height);
        for mask in masks {
            ensure!(
                (mask.width, mask.height) == (width, height),
                "a batch needs masks of one size, found {width}x{height} and {}x{}",
                mask.width,
                mask.height
            );
        }
        let values: Vec<f32> = masks.iter().flat_map(|mask| &mask.pixels).map(|&set| f32::from(u8::from(set))).collect();
        Tensor::from_f32(values, &[masks.len(), height, width, 1])
    }

    /// Pixels per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, `[height, width]`.
    pub fn pixels(&self) -> &[bool] {
        &self.pixels
    }

    /// Whether a pixel is set; panics outside of the mask.
    pub fn at(&self, column: usize, row: usize) -> bool {
        assert!(column < self.width, "column {column} of a mask {} wide", self.width);
        self.pixels[row * self.width + column]
    }

    /// How many pixels are set.
    pub fn area(&self) -> usize {
        self.pixels.iter().filter(|&&set| set).count()
    }

    /// The share of pixels that are set, 0 to 1.
    pub fn share(&self) -> f32 {
        self.area() as f32 / self.pixels.len() as f32
    }

    /// Whether no pixel is set.
    pub fn is_empty(&self) -> bool {
        !self.pixels.contains(&true)
    }

    /// Whether every pixel is set.
    pub fn is_full(&self) -> bool {
        !self.pixels.contains(&false)
    }

    /// The smallest rectangle with all set pixels; `None` when there is none.
    pub fn bounding_box(&self) -> Option<Rectangle> {
        let rows: Vec<&[bool]> = self.pixels.chunks(self.width).collect();
        let top = rows.iter().position(|row| row.contains(&true))?;
        let bottom = rows.iter().rposition(|row| row.contains(&true))?;
        let left = rows.iter().filter_map(|row| row.iter().position(|&set| set)).min()?;
        let right = rows.iter().filter_map(|row| row.iter().rposition(|&set| set)).max()?;
        Some(Rectangle { left, top, width: right + 1 - left, height: bottom + 1 - top })
    }

    /// Grown by a square of side `2 * radius + 1`.
    pub fn dilated(&self, radius: usize) -> Self {
        self.swept(radius).transposed().swept(radius).transposed()
    }

    /// Shrunk by a square of side `2 * radius + 1`; what lies beyond the border counts as set.
    pub fn eroded(&self, radius: usize) -> Self {
        self.inverted().dilated(radius).inverted()
    }

    /// Set and unset exchanged.
    pub fn inverted(&self) -> Self {
        Self { pixels: self.pixels.iter().map(|set| !set).collect(), ..*self }
    }

    /// Pixels set in both masks; panics when the sizes differ.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combined(other, |a, b| a && b)
    }

    /// Pixels set in either mask; panics when the sizes differ.
    pub fn union(&self, other: &Self) -> Self {
        self.combined(other, |a, b| a || b)
    }

    /// The part inside `area`, which must lie in the mask and not be empty.
    pub fn cropped(&self, area: Rectangle) -> Self {
        area.check_inside(self.width, self.height);
        Self::from_fn(area.width, area.height, |column, row| self.at(area.left + column, area.top + row))
    }

    /// Left and right exchanged.
    pub fn flipped_horizontally(&self) -> Self {
        Self { pixels: self.pixels.chunks(self.width).flat_map(|row| row.iter().rev()).copied().collect(), ..*self }
    }

    /// Top and bottom exchanged.
    pub fn flipped_vertically(&self) -> Self {
        Self { pixels: self.pixels.chunks(self.width).rev().flatten().copied().collect(), ..*self }
    }

    /// The mask as a picture: white where it is set, black elsewhere.
    pub fn to_picture(&self) -> Picture {
        let pixels = self.pixels.iter().flat_map(|&set| [if set { 1.0 } else { -1.0 }; 3]).collect();
        Picture::from_parts(self.width, self.height, pixels)
    }

    /// The mask as an 8-bit single-channel PNG file of 0 and 255.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let bytes: Vec<u8> = self.pixels.iter().map(|&set| if set { 255 } else { 0 }).collect();
        encode_png(&bytes, self.width, self.height, image::ExtendedColorType::L8)
    }

    /// Writes an 8-bit single-channel PNG of 0 and 255, all or nothing.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_bytes_atomic(path, &self.to_png()?)
    }

    fn combined(&self, other: &Self, rule: impl Fn(bool, bool) -> bool) -> Self {
        assert_eq!((self.width, self.height), (other.width, other.height), "sizes of two masks");
        Self { pixels: self.pixels.iter().zip(&other.pixels).map(|(&a, &b)| rule(a, b)).collect(), ..*self }
    }

    /// Grown by `radius` to the left and to the right.
    fn swept(&self, radius: usize) -> Self {
        let mut pixels = vec![false; self.pixels.len()];
        for (output, input) in pixels.chunks_mut(self.width).zip(self.pixels.chunks(self.width)) {
            let mut filled = 0; // everything left of it is decided
            for (column, _) in input.iter().enumerate().filter(|(_, set)| **set) {
                let end = (column + radius + 1).min(self.width);
                output[column.saturating_sub(radius).max(filled).min(end)..end].fill(true);
                filled = end;
            }
        }
        Self { pixels, ..*self }
    }

    fn transposed(&self) -> Self {
        Self::from_fn(self.height, self.width, |column, row| self.pixels[column * self.width + row])
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Mask({}x{}, {} set)", self.width, self.height, self.area())
    }
}
