//! Learned masks, made usable.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Drawn, Request, hash_masks, on_object};
use crate::anomaly::inversion::resized_mask;
use crate::anomaly::learned::Kind;
use crate::anomaly::learned_masks::{LearnedMasks, MaskPainter, Reach};
use crate::anomaly::presets::MaskSampling;
use crate::data::foreground::foreground;
use crate::data::mask::Mask;
use crate::data::mask_rules::{Fault, MaskRules};
use crate::data::picture::Picture;
use crate::error::{Context, Result};
use crate::models::base::BaseModel;
use crate::tensor::random::Sampler;

/// Masks drawn for an image until one is usable. After that a real one stands in, so that no run hangs on a type whose masks were learned badly.
const ATTEMPTS: u64 = 8;

/// Embeddings, and the rules that their masks have to obey.
pub(super) struct LearnedSource<'a> {
    painter: MaskPainter<'a>,
    masks: LearnedMasks,
    sampling: MaskSampling,
    rules: MaskRules,
    real: Vec<Mask>,
    side: usize,
    seed: u64,
    kind: Kind,
}

impl<'a> LearnedSource<'a> {
    pub(super) fn load(file: &Path, sampling: Option<MaskSampling>, base: &'a BaseModel, request: &Request, real: Vec<Mask>) -> Result<Self> {
        let masks = LearnedMasks::load(file, base)?;
        let sampling = sampling.unwrap_or_else(|| masks.metadata.preset.sampling.clone());
        let (side, seed, kind) = (request.side, request.seed, request.kind.clone());
        let painter = MaskPainter::new(base, &masks, kind.clone(), sampling.clone(), seed)?;
        let pixels = side * side;
        let rules = if sampling.clean { MaskRules::of_real_masks(pixels, &real) } else { MaskRules::released(pixels) };
        Ok(Self { painter, masks, sampling, rules, real, side, seed, kind })
    }

    /// Every image draws until its mask is usable; the draws of several images are computed together.
    pub(super) fn masks(&self, wanted: &[(u64, &Picture)], stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Drawn>> {
        let objects: Vec<Mask> = wanted.iter().map(|(_, normal)| foreground(normal)).collect();
        let mut found: Vec<Option<Mask>> = vec![None; wanted.len()];
        let mut rejected: Vec<Vec<Fault>> = vec![Vec::new(); wanted.len()];
        for attempt in 0..ATTEMPTS {
            let open: Vec<usize> = (0..wanted.len()).filter(|&position| found[position].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let asked: Vec<(u64, u64)> = open.iter().map(|&position| (wanted[position].0, attempt)).collect();
            for ((&position, rough), &(index, attempt)) in open.iter().zip(self.painter.draw(&asked, stop)?).zip(&asked) {
                match self.rules.usable(&resized_mask(&rough.mask, self.side), &objects[position], &mut self.sampler("place", &[index, attempt])) {
                    Ok(mask) => found[position] = Some(mask),
                    Err(fault) => rejected[position].push(fault),
                }
            }
        }
        let finished = found.into_iter().zip(rejected).zip(&objects).zip(wanted).map(|(((found, rejected), object), (index, _))| match found {
            Some(mask) => Drawn { mask, source: "learned".into(), rejected },
            None => {
                Drawn { mask: on_object(&self.real, Reach::Near, object, &mut self.sampler("stand-in", &[*index])), source: "real".into(), rejected }
            }
        });
        Ok(finished.collect())
    }

    fn sampler(&self, purpose: &str, indices: &[u64]) -> Sampler {
        Sampler::new(self.seed, &format!("learned mask {purpose}\0{}\0{}", self.kind.object, self.kind.defect), indices)
    }

    pub(super) fn hash(&self, hash: &mut Sha256) -> Result<()> {
        hash_masks("learned", self.real.iter(), hash);
        let settings = serde_json::to_string(&(&self.masks.metadata, &self.sampling)).context("the settings of learned masks as JSON")?;
        hash.update(format!("{settings}{:?}", self.rules));
        for (_, tensor) in self.masks.tensors()? {
            hash.update(tensor.bytes()?);
        }
        Ok(())
    }
}
