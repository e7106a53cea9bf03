//! Where the masks of generated images come from: learned ones, varied real masks, drawn shapes, or files. Mask `index` is a function of
//! (seed, object, type, index) and its normal picture alone.

mod files;
mod learned;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::anomaly::learned::Kind;
use crate::anomaly::learned_masks::{Reach, training_masks, varied_mask};
use crate::anomaly::mask_set;
use crate::anomaly::presets::{MaskSampling, PresetName};
use crate::data::dataset::DefectType;
use crate::data::foreground::foreground;
use crate::data::mask::Mask;
use crate::data::mask_rules::{Fault, ON_OBJECT, best_on, placed};
use crate::data::picture::Picture;
use crate::data::procedural_masks::MaskPlan;
use crate::digest::hexadecimal;
use crate::error::Result;
use crate::models::base::BaseModel;
use crate::tensor::random::Sampler;
use files::Files;
use learned::LearnedSource;

/// What `--masks` names.
#[derive(Clone, Debug, PartialEq)]
pub enum MaskSource {
    /// Drawn from the embeddings in this file of `train-masks`, with other sampling than its own when that is given.
    Learned(PathBuf, Option<MaskSampling>),
    /// The type's training masks, varied, near where they lie.
    Real,
    /// The same anywhere on the object, for defects that can be anywhere.
    Scattered,
    /// Drawn shapes with the sizes of the type's training masks.
    Procedural,
    /// A folder: one that `anodiff masks` filled gives each image the mask of its number; of any other the picture files in natural order, over and over.
    Folder(PathBuf),
}

impl MaskSource {
    /// Reads `learned | real | scattered | procedural | FOLDER`; `file` holds learned masks.
    pub fn parse(text: &str, file: &Path) -> Self {
        match text {
            "learned" => Self::Learned(file.to_owned(), None),
            "real" => Self::Real,
            "scattered" => Self::Scattered,
            "procedural" => Self::Procedural,
            folder => Self::Folder(folder.into()),
        }
    }
}

/// Draws of a real mask until it lies on the object.
const DRAWS: usize = 20;

/// A mask for an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The mask, not empty.
    pub mask: Mask,
    /// Where it came from: `learned`, `real`, `scattered`, `procedural`, or the file's name.
    pub source: String,
    /// What was wrong with those that were drawn before it, in order.
    pub rejected: Vec<Fault>,
}

/// What masks are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The type.
    pub kind: &'a Kind,
    /// Its pairs in the data set.
    pub found: &'a DefectType,
    /// Whose split says which pairs are for training.
    pub preset: PresetName,
    /// Side of the masks in pixels.
    pub side: usize,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// A source with its files read.
pub struct Masks<'a> {
    source: Source<'a>,
    seed: u64,
    kind: Kind,
}

enum Source<'a> {
    Learned(Box<LearnedSource<'a>>),
    Real(Vec<Mask>, Reach),
    Procedural(MaskPlan),
    Files(Files),
}

impl<'a> Masks<'a> {
    /// Reads the masks of a source; `base` draws learned ones.
    ///
    /// # Errors
    /// When a file cannot be read, a mask is empty, there is none, or the type's masks were not learned (exit code 2).
    pub fn load(source: &MaskSource, base: &'a BaseModel, request: &Request) -> Result<Self> {
        let real = || training_masks(request.found, request.preset, request.side);
        let source = match source {
            MaskSource::Learned(file, sampling) => Source::Learned(Box::new(LearnedSource::load(file, sampling.clone(), base, request, real()?)?)),
            MaskSource::Real => Source::Real(real()?, Reach::Near),
            MaskSource::Scattered => Source::Real(real()?, Reach::Anywhere),
            MaskSource::Procedural => Source::Procedural(MaskPlan::new(request.side, request.side).with_areas_of(&real()?)),
            MaskSource::Folder(folder) if mask_set::is_one(folder) => Source::Files(Files::of_set(folder, request)?),
            MaskSource::Folder(folder) => Source::Files(Files::of_folder(folder, request.side)?),
        };
        Ok(Self { source, seed: request.seed, kind: request.kind.clone() })
    }

    /// Whether the base model draws them.
    pub fn are_learned(&self) -> bool {
        matches!(self.source, Source::Learned(_))
    }

    /// Refuses masks that lack one for an image numbered below `count`.
    ///
    /// # Errors
    /// When they come from a folder that was filled for fewer images (exit code 2).
    pub fn check_count(&self, count: u64) -> Result<()> {
        match &self.source {
            Source::Files(files) => files.check_count(count),
            Source::Learned(_) | Source::Real(..) | Source::Procedural(_) => Ok(()),
        }
    }

    /// The masks of images with their normal pictures. All but files are put on the object of the normal picture; files are taken as they are.
    ///
    /// `stop` is asked now and then and ends the work with [`Interrupted`](crate::error::Interrupted) when it names a signal.
    pub fn masks(&self, wanted: &[(u64, &Picture)], stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Drawn>> {
        if let Source::Learned(source) = &self.source {
            return source.masks(wanted, stop);
        }
        wanted.iter().map(|&(index, normal)| self.mask(index, normal)).collect()
    }

    fn mask(&self, index: u64, normal: &Picture) -> Result<Drawn> {
        let mut sampler = Sampler::new(self.seed, &format!("generate mask\0{}\0{}", self.kind.object, self.kind.defect), &[index]);
        let (mask, source) = match &self.source {
            Source::Learned(source) => return Ok(source.masks(&[(index, normal)], &|| None)?.remove(0)),
            Source::Real(masks, reach) => {
                let name = if *reach == Reach::Near { "real" } else { "scattered" };
                (on_object(masks, *reach, &foreground(normal), &mut sampler), name.into())
            }
            Source::Procedural(plan) => (plan.draw(Some(&foreground(normal)), &mut sampler)?, "procedural".into()),
            Source::Files(files) => files.mask(index)?,
        };
        Ok(Drawn { mask, source, rejected: Vec::new() })
    }

    /// What the masks depend on beside the seed, for a run's recipe: one text that differs when they would.
    pub fn fingerprint(&self) -> Result<String> {
        let mut hash = Sha256::new();
        match &self.source {
            Source::Learned(source) => source.hash(&mut hash)?,
            Source::Real(masks, Reach::Near) => hash_masks("real, varied", masks.iter(), &mut hash),
            Source::Real(masks, Reach::Anywhere) => hash_masks("real, scattered", masks.iter(), &mut hash),
            Source::Procedural(plan) => {
                hash.update(format!("{plan:?}"));
                hash_masks("procedural", std::iter::empty(), &mut hash);
            }
            Source::Files(files) => files.hash(&mut hash),
        }
        Ok(hexadecimal(&hash.finalize()))
    }
}

/// Adds masks under a name to a digest.
fn hash_masks<'a>(name: &str, masks: impl Iterator<Item = &'a Mask>, hash: &mut Sha256) {
    hash.update(name);
    for mask in masks {
        hash.update((mask.width() as u64).to_le_bytes());
        hash.update(mask.pixels().iter().map(|&pixel| u8::from(pixel)).collect::<Vec<_>>());
    }
}

/// A real mask, varied such that it lies on the object as far as real masks do; moved there where no draw did.
fn on_object(masks: &[Mask], reach: Reach, object: &Mask, sampler: &mut Sampler) -> Mask {
    let varied = best_on(object, ON_OBJECT, (0..DRAWS).map(|_| varied_mask(masks, reach, sampler)), |mask| mask);
    placed(&varied.unwrap_or_else(|| masks[0].clone()), object, ON_OBJECT, sampler)
}
