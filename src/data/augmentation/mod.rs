//! Augmentation: picture and mask are flipped, turned and cropped together, and the defect stays in the picture.

mod turn;
#[cfg(test)]
mod tests;

use crate::data::mask::{CellRule, Mask};
use crate::data::picture::Picture;
use crate::data::rectangle::Rectangle;
use crate::data::resample::{Filter, Precision, Resampling, resample};
use crate::tensor::random::Sampler;

/// A picture and where its defect is; both of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The picture.
    pub picture: Picture,
    /// The defect's place.
    pub mask: Mask,
}

/// A part of a picture and of its mask, of the whole picture's size.
pub fn magnified(picture: &Picture, mask: &Mask, area: Rectangle) -> Sample {
    let (width, height) = (picture.width(), picture.height());
    Sample { picture: picture.cropped(area).resized(width, height), mask: mask.cropped(area).resized(width, height, CellRule::Share(0.5)) }
}

/// How strongly the `default` preset augments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmentation {
    /// How probable it is that a sample is changed at all.
    pub probability: f32,
    /// The largest turn in degrees; the smallest is 0.
    pub degrees: f32,
    /// The least share of each side that a crop keeps, 0 to 1. The released program has 0; a strongly magnified crop is a blurred picture.
    pub least_crop: f32,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { probability: 0.5, degrees: 20.0, least_crop: 0.5 }
    }
}

/// How often a sample whose mask came out empty is drawn again before it is left as it was.
const MOST_DRAWS: usize = 20;

impl Augmentation {
    /// One augmented sample of the same size: with `probability` a vertical flip (1/2), a horizontal flip (1/2), a turn (bilinear, the border
    /// mirrored, mask and picture alike), and a crop that contains the whole mask, resized back. Random numbers come from `sampler` alone.
    ///
    /// The mask of the result is never empty unless the sample's was; an empty-masked sample is returned as it is.
    pub fn apply(&self, sample: &Sample, sampler: &mut Sampler) -> Sample {
        assert_sizes(sample);
        if sample.mask.is_empty() || !sampler.chance(self.probability) {
            return sample.clone();
        }
        for _ in 0..MOST_DRAWS {
            let flipped = flipped(sample, sampler);
            let turned = turn::mirrored(&flipped, sampler.range(0.0, self.degrees));
            let Some(defect) = turned.mask.bounding_box() else { continue };
            let (width, height) = (sample.picture.width(), sample.picture.height());
            let (left, columns) = self.extent(defect.left, defect.right(), width, sampler);
            let (top, rows) = self.extent(defect.top, defect.bottom(), height, sampler);
            let area = Rectangle { left, top, width: columns, height: rows };
            return magnified(&turned.picture, &turned.mask, area);
        }
        sample.clone()
    }

    /// A random extent of one axis around `start..end`, as (first, length).
    fn extent(&self, start: usize, end: usize, size: usize, sampler: &mut Sampler) -> (usize, usize) {
        let mut first = sampler.below(start + 1);
        let mut last = end + sampler.below(size - end + 1);
        let least = ((self.least_crop * size as f32).ceil() as usize).clamp(1, size);
        // Too small: grow to both sides in random parts, as far as there is room.
        if last - first < least {
            let missing = least - (last - first);
            let most_before = missing.min(first);
            let least_before = missing.saturating_sub(size - last);
            let before = least_before + sampler.below(most_before - least_before + 1);
            first -= before;
            last += missing - before;
        }
        (first, last - first)
    }
}

/// The released program's augmentation of a batch (`utils.py`, `random_transform`; the call in `ddpm.py`), resized to `width` x `height`.
///
/// With probability 1/2 for the whole batch: each sample is flipped vertically (1/2), horizontally (1/2) and turned by 0 to 20 whole degrees
/// counter-clockwise (nearest, filled with mid-grey); then ONE random box that holds all masks is cut from all samples. Resizing is bilinear
/// without antialias (torchvision 0.13 on tensors) in every case. The program loads samples at twice the working size for this. Its box ends
/// may miss the last row or column of the masks, and so do these; masks are cut at 0.5 and can come out empty.
pub fn augment_official(batch: &[Sample], width: usize, height: usize, sampler: &mut Sampler) -> Vec<Sample> {
    batch.iter().for_each(assert_sizes);
    let mut samples = batch.to_vec();
    if sampler.chance(0.5) {
        for sample in &mut samples {
            *sample = turn::filled(&flipped(sample, sampler), sampler.below(21) as f32);
        }
        let boxes = samples.iter().filter_map(|sample| sample.mask.bounding_box());
        // With no pixel left in any mask the program would stop with an error; here the pictures stay whole.
        if let Some(defects) = boxes.reduce(|a, b| a.union(&b)) {
            let smallest = |side: fn(&Picture) -> usize| samples.iter().map(|sample| side(&sample.picture)).min().unwrap_or(0);
            let (columns, rows) = (smallest(Picture::width), smallest(Picture::height));
            let (left, top) = (sampler.below(defects.left + 1), sampler.below(defects.top + 1));
            let mut end = |last: usize, size: usize, first: usize| (last + sampler.below(size - last + 1)).max(first + 1);
            let right = end(defects.right() - 1, columns, left);
            let bottom = end(defects.bottom() - 1, rows, top);
            let area = Rectangle { left, top, width: right - left, height: bottom - top };
            for sample in &mut samples {
                *sample = Sample { picture: sample.picture.cropped(area), mask: sample.mask.cropped(area) };
            }
        }
    }
    samples.iter().map(|sample| bilinear(sample, width, height)).collect()
}

fn bilinear(sample: &Sample, width: usize, height: usize) -> Sample {
    let how = Resampling { filter: Filter::Bilinear, antialias: false, precision: Precision::Float };
    let from = [sample.picture.height(), sample.picture.width()];
    let pixels = resample(sample.picture.pixels(), from, 3, [height, width], how);
    Sample { picture: Picture::from_parts(width, height, pixels), mask: sample.mask.resized(width, height, CellRule::Official) }
}

fn flipped(sample: &Sample, sampler: &mut Sampler) -> Sample {
    let mut result = sample.clone();
    if sampler.chance(0.5) {
        result = Sample { picture: result.picture.flipped_vertically(), mask: result.mask.flipped_vertically() };
    }
    if sampler.chance(0.5) {
        result = Sample { picture: result.picture.flipped_horizontally(), mask: result.mask.flipped_horizontally() };
    }
    result
}

fn assert_sizes(sample: &Sample) {
    let (picture, mask) = (&sample.picture, &sample.mask);
    assert_eq!((picture.width(), picture.height()), (mask.width(), mask.height()), "sizes of a picture and its mask");
}
