//! The training pairs in memory, and what a step draws from them.

use rayon::prelude::*;

use crate::anomaly::close_up;
use crate::anomaly::learned::{Kind, Metadata};
use crate::anomaly::presets::{AugmentationKind, PresetName};
use crate::data::augmentation::{Augmentation, Sample, augment_official};
use crate::data::dataset::{Dataset, SplitRule};
use crate::data::mask::{CellRule, Mask};
use crate::data::picture::Picture;
use crate::error::Result;
use crate::invalid_input;
use crate::tensor::random::Sampler;

/// One augmented pair of a batch.
#[derive(Clone, Debug)]
pub struct Example {
    /// Picture and mask at the working size.
    pub sample: Sample,
    /// The position of its type among the learned ones.
    pub kind: usize,
    /// Number of its pair within the type.
    pub pair: usize,
    /// Which prompt template.
    pub template: usize,
}

/// The training part of a data set, at the working size (twice that for the released program's augmentation).
#[derive(Debug)]
pub struct Examples {
    /// The pairs of each kind, in the order of the learned kinds; none is empty.
    pairs: Vec<Vec<Sample>>,
    augmentation: AugmentationKind,
    close_up: f64,
    resolution: usize,
    templates: usize,
    seed: u64,
}

impl Examples {
    /// Loads the training pairs of every learned type.
    ///
    /// # Errors
    /// When a file cannot be read or a mask is empty; the message names it (exit code 2).
    pub fn load(dataset: &Dataset, metadata: &Metadata) -> Result<Self> {
        let preset = &metadata.preset;
        let official = preset.training.augmentation == AugmentationKind::Batch;
        let side = if official { 2 * metadata.resolution } else { metadata.resolution };
        let mut pairs = Vec::with_capacity(metadata.kinds.len());
        for Kind { object, defect } in &metadata.kinds {
            let found = dataset.object(object)?.defect_type(defect)?.training_pairs(split_rule(preset.name));
            let load = |pair: &crate::data::dataset::Pair| -> Result<Sample> {
                let picture = Picture::load(&pair.image)?.resized(side, side);
                let mask = if official { Mask::load_official(&pair.mask, side, side)? } else { resized_mask(&Mask::load(&pair.mask)?, side) };
                if mask.is_empty() {
                    invalid_input!("{}: the mask has no pixel set; mark the defect or remove the pair", pair.mask.display());
                }
                Ok(Sample { picture, mask })
            };
            pairs.push(found.iter().map(load).collect::<Result<Vec<_>>>()?);
        }
        Self::new(pairs, metadata)
    }

    /// From pairs that are already at the working size, in the order of the metadata's kinds.
    pub fn new(pairs: Vec<Vec<Sample>>, metadata: &Metadata) -> Result<Self> {
        for (kind, pairs) in metadata.kinds.iter().zip(&pairs) {
            if pairs.is_empty() {
                invalid_input!("{kind} has no training pair: expected at least one picture with its mask");
            }
        }
        Ok(Self {
            pairs,
            augmentation: metadata.preset.training.augmentation,
            close_up: metadata.preset.close_up,
            resolution: metadata.resolution,
            templates: metadata.templates.sentences().len(),
            seed: metadata.seed,
        })
    }

    /// How many pairs there are.
    pub fn count(&self) -> usize {
        self.pairs.iter().map(Vec::len).sum()
    }

    /// The first pair of a kind at the working size, as it is in the data set.
    pub fn first(&self, kind: usize) -> Sample {
        let sample = &self.pairs[kind][0];
        let side = self.resolution;
        Sample { picture: sample.picture.resized(side, side), mask: resized_mask(&sample.mask, side) }
    }

    /// Examples `first .. first + count` of a step whose batches have `count` examples each. Types take turns in an order drawn anew each round,
    /// so that all are trained alike however many pairs they have. Each example is a function of (seed, purpose, step, its position) alone, except
    /// under the released program's augmentation, which is drawn for the batch.
    pub fn draw(&self, purpose: &str, step: u64, first: u64, count: usize) -> Vec<Example> {
        let drawn = (first..first + count as u64).into_par_iter().map(|position| self.draw_one(purpose, step, position));
        let mut examples: Vec<Example> = drawn.collect();
        if self.augmentation == AugmentationKind::Batch {
            let samples: Vec<Sample> = examples.iter().map(|example| example.sample.clone()).collect();
            let mut sampler = Sampler::new(self.seed, &format!("{purpose} augmentation"), &[step, first]);
            let augmented = augment_official(&samples, self.resolution, self.resolution, &mut sampler);
            examples.iter_mut().zip(augmented).for_each(|(example, sample)| example.sample = sample);
        }
        examples
    }

    fn draw_one(&self, purpose: &str, step: u64, position: u64) -> Example {
        let kinds = self.pairs.len();
        let mut sampler = Sampler::new(self.seed, &format!("{purpose} example"), &[step, position]);
        let kind = kind_at(self.seed, purpose, step, position, kinds);
        let pair = sampler.below(self.pairs[kind].len());
        let sample = &self.pairs[kind][pair];
        let template = sampler.below(self.templates);
        let sample = match self.augmentation {
            // A close-up is a crop already.
            AugmentationKind::Sample if self.close_up > 1.0 => {
                let turned = Augmentation { least_crop: 1.0, ..Augmentation::default() }.apply(sample, &mut sampler);
                close_up::random(&turned, self.close_up, &mut sampler)
            }
            AugmentationKind::Sample => Augmentation::default().apply(sample, &mut sampler),
            AugmentationKind::Off => close_up::random(sample, self.close_up, &mut sampler),
            AugmentationKind::Batch => sample.clone(),
        };
        Example { sample, kind, pair, template }
    }
}

/// Which of `kinds` types the example at `position` of a step is of: all take turns, in an order drawn anew each round.
pub(in crate::anomaly) fn kind_at(seed: u64, purpose: &str, step: u64, position: u64, kinds: usize) -> usize {
    let order = Sampler::new(seed, &format!("{purpose} order"), &[step, position / kinds as u64]).permutation(kinds);
    order[(position % kinds as u64) as usize]
}

/// Which pairs a preset trains on.
pub fn split_rule(name: PresetName) -> SplitRule {
    match name {
        PresetName::Default => SplitRule::Default,
        PresetName::Paper => SplitRule::Paper,
        PresetName::Official => SplitRule::Official,
    }
}

/// A mask at the working size: enlarged by area, reduced so that no thin defect is lost.
pub fn resized_mask(mask: &Mask, side: usize) -> Mask {
    let shrinks = mask.width() > side || mask.height() > side;
    mask.resized(side, side, if shrinks { CellRule::Share(0.25) } else { CellRule::Share(0.5) })
}
