//! The training masks in memory, and what a step draws from them.

use crate::anomaly::inversion::{kind_at, resized_mask, split_rule};
use crate::anomaly::learned_masks::MaskMetadata;
use crate::anomaly::presets::{AugmentationKind, PresetName};
use crate::data::dataset::{Dataset, DefectType, Pair};
use crate::data::mask::Mask;
use crate::data::rectangle::Rectangle;
use crate::data::similarity::Similarity;
use crate::error::Result;
use crate::invalid_input;
use crate::tensor::random::Sampler;

/// How far a varied mask is turned, in degrees to either side: as in the training of pictures, from whose masks the spatial encoder knows what to say.
const DEGREES: f32 = 20.0;
/// How much larger or smaller it is: as probably one as the other, so that sizes stay the real ones on average.
const SCALE: f32 = 1.25;
/// How far it is moved along each axis when it stays near, as a share of the frame.
const SHIFT: f32 = 0.125;

/// Where a varied mask may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::anomaly) enum Reach {
    /// Not far from where the mirrored mask lies.
    Near,
    /// Anywhere in the frame.
    Anywhere,
}

/// One mask of a batch.
#[derive(Clone, Debug)]
pub struct MaskExample {
    /// The mask at the working size.
    pub mask: Mask,
    /// The position of its type among the learned ones.
    pub kind: usize,
    /// Which prompt template.
    pub template: usize,
}

/// The training masks of a data set.
#[derive(Debug)]
pub struct MaskExamples {
    /// The masks of each kind, in the order of the learned kinds; none is empty.
    masks: Vec<Vec<Mask>>,
    augmented: bool,
    templates: usize,
    seed: u64,
}

impl MaskExamples {
    /// Loads the training masks of every learned type.
    ///
    /// # Errors
    /// When a file cannot be read, a mask is empty, or a type has none (exit code 2).
    pub fn load(dataset: &Dataset, metadata: &MaskMetadata) -> Result<Self> {
        let mut masks = Vec::with_capacity(metadata.kinds.len());
        for kind in &metadata.kinds {
            let found = dataset.object(&kind.object)?.defect_type(&kind.defect)?;
            let own = training_masks(found, metadata.preset.name, metadata.resolution)?;
            if own.is_empty() {
                invalid_input!("{kind} has no training mask: expected at least one picture with its mask");
            }
            masks.push(own);
        }
        let augmented = metadata.preset.augmentation != AugmentationKind::Off;
        Ok(Self { masks, augmented, templates: metadata.templates.sentences().len(), seed: metadata.seed })
    }

    /// The first mask of a kind, as it is in the data set.
    pub fn first(&self, kind: usize) -> &Mask {
        &self.masks[kind][0]
    }

    /// Examples `first .. first + count` of a step. Types take turns; each example is a function of (seed, purpose, step, its position) alone.
    pub fn draw(&self, purpose: &str, step: u64, first: u64, count: usize) -> Vec<MaskExample> {
        (first..first + count as u64).map(|position| self.draw_one(purpose, step, position)).collect()
    }

    fn draw_one(&self, purpose: &str, step: u64, position: u64) -> MaskExample {
        let kind = kind_at(self.seed, purpose, step, position, self.masks.len());
        let mut sampler = Sampler::new(self.seed, &format!("{purpose} example"), &[step, position]);
        let template = sampler.below(self.templates);
        let mask = if self.augmented { varied_mask(&self.masks[kind], Reach::Near, &mut sampler) } else { sampler.pick(&self.masks[kind]).clone() };
        MaskExample { mask, kind, template }
    }
}

/// One of the masks as the type's next defect may have it: mirrored and upside down (1/2 each), turned, a little larger or smaller, and moved, all of it
/// in the frame. Not empty when none of them is.
pub(in crate::anomaly) fn varied_mask(masks: &[Mask], reach: Reach, sampler: &mut Sampler) -> Mask {
    let mask = sampler.pick(masks);
    let mask = if sampler.chance(0.5) { mask.flipped_horizontally() } else { mask.clone() };
    let mask = if sampler.chance(0.5) { mask.flipped_vertically() } else { mask };
    let Some(extent) = mask.bounding_box() else { return mask };
    let (width, height) = (mask.width(), mask.height());
    let (degrees, scale) = (sampler.range(-DEGREES, DEGREES), SCALE.powf(sampler.range(-1.0, 1.0)));
    // In the middle of the frame first, where nothing is cut off.
    let to = Rectangle { left: 0, top: 0, width, height }.middle();
    let turned = mask.moved(Similarity { from: extent.middle(), to, degrees, scale, mirrored: false });
    // A line of single pixels can fall between those of the grid.
    let turned = if turned.is_empty() { mask } else { turned };
    let Some(size) = turned.bounding_box() else { return turned };
    let mut first = |middle: f32, length: usize, side: usize| match reach {
        Reach::Near => {
            let start = middle + sampler.range(-SHIFT, SHIFT) * side as f32 - (length - 1) as f32 / 2.0;
            start.round().clamp(0.0, (side - length) as f32) as usize
        }
        Reach::Anywhere => sampler.below(side - length + 1),
    };
    let [x, y] = extent.middle();
    let (left, top) = (first(x, size.width, width), first(y, size.height, height));
    turned.shifted_to(left, top)
}

/// The masks of a type's training pairs at `side` x `side` pixels.
///
/// # Errors
/// When a file cannot be read or a mask is empty (exit code 2).
pub(in crate::anomaly) fn training_masks(found: &DefectType, preset: PresetName, side: usize) -> Result<Vec<Mask>> {
    let load = |pair: &Pair| -> Result<Mask> {
        let mask = resized_mask(&Mask::load(&pair.mask)?, side);
        if mask.is_empty() {
            invalid_input!("{}: the mask has no pixel set; mark the defect or remove the pair", pair.mask.display());
        }
        Ok(mask)
    };
    found.training_pairs(split_rule(preset)).iter().map(load).collect()
}
