//! The training masks in memory, and what a step draws from them.

use crate::anomaly::inversion::{kind_at, resized_mask, split_rule};
use crate::anomaly::learned_masks::MaskMetadata;
use crate::anomaly::presets::{AugmentationKind, PresetName};
use crate::data::augmentation::{Augmentation, Sample};
use crate::data::dataset::{Dataset, DefectType, Pair};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::invalid_input;
use crate::tensor::random::Sampler;

/// Augmentation of real masks: stronger than in the training of pictures, which must stay sharp; most masks should be new.
const AUGMENTATION: Augmentation = Augmentation { probability: 0.9, degrees: 20.0, least_crop: 0.6 };

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
        let mask = if self.augmented { augmented_mask(&self.masks[kind], &mut sampler) } else { sampler.pick(&self.masks[kind]).clone() };
        MaskExample { mask, kind, template }
    }
}

/// One of the masks, flipped, turned and cropped; not empty when none of them is.
pub(in crate::anomaly) fn augmented_mask(masks: &[Mask], sampler: &mut Sampler) -> Mask {
    let mask = sampler.pick(masks).clone();
    let picture = Picture::from_parts(mask.width(), mask.height(), vec![0.0; 3 * mask.width() * mask.height()]);
    AUGMENTATION.apply(&Sample { picture, mask }, sampler).mask
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
