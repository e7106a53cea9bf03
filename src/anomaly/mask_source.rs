//! Where the masks of generated images come from: augmented real masks, drawn shapes, or a folder of files. Mask `index` is a function of (seed, type, index)
//! and its normal picture alone.

use std::path::{Path, PathBuf};

use crate::anomaly::inversion::{resized_mask, split_rule};
use crate::anomaly::learned::Kind;
use crate::anomaly::presets::PresetName;
use crate::data::augmentation::{Augmentation, Sample};
use crate::data::dataset::{DefectType, natural_order};
use crate::data::foreground::foreground;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::data::procedural_masks::MaskPlan;
use crate::digest::hexadecimal;
use crate::error::Result;
use crate::tensor::random::Sampler;
use crate::{input_error, invalid_input};

/// What `--masks` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskSource {
    /// The type's training masks, augmented.
    Real,
    /// Drawn shapes with the sizes of the type's training masks.
    Procedural,
    /// The picture files of a folder, in natural order, over and over.
    Folder(PathBuf),
}

impl MaskSource {
    /// Reads `real | procedural | FOLDER`.
    pub fn parse(text: &str) -> Self {
        match text {
            "real" => Self::Real,
            "procedural" => Self::Procedural,
            folder => Self::Folder(folder.into()),
        }
    }
}

/// Augmentation of real masks: stronger than in training, where the picture must stay sharp; most masks should be new.
const AUGMENTATION: Augmentation = Augmentation { probability: 0.9, degrees: 20.0, least_crop: 0.6 };

/// How much of a mask has to lie on the object.
const ON_OBJECT: f32 = 0.9;

/// Draws until it does.
const DRAWS: usize = 20;

/// A source with its files read.
#[derive(Debug)]
pub struct Masks {
    source: Source,
    seed: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Source {
    Real(Vec<Mask>),
    Procedural(MaskPlan),
    Files(Vec<(String, Mask)>),
}

impl Masks {
    /// Reads the masks of a source at `side` x `side` pixels.
    ///
    /// # Errors
    /// When a file cannot be read, a mask is empty, or there is none (exit code 2).
    pub fn load(source: &MaskSource, kind: &Kind, found: &DefectType, preset: PresetName, side: usize, seed: u64) -> Result<Self> {
        let source = match source {
            MaskSource::Real => Source::Real(training_masks(found, preset, side)?),
            MaskSource::Procedural => {
                let real = training_masks(found, preset, side)?;
                Source::Procedural(MaskPlan::new(side, side).with_areas_of(&real))
            }
            MaskSource::Folder(folder) => Source::Files(files(folder, side)?),
        };
        Ok(Self { source, seed, kind: kind.clone() })
    }

    /// Mask `index` and where it came from. Real and procedural masks are put on the object of the normal picture; files are taken as they are.
    pub fn mask(&self, index: u64, normal: &Picture) -> Result<(Mask, String)> {
        let mut sampler = Sampler::new(self.seed, &format!("generate mask\0{}\0{}", self.kind.object, self.kind.defect), &[index]);
        Ok(match &self.source {
            Source::Real(masks) => (augmented(masks, &foreground(normal), &mut sampler), "real".into()),
            Source::Procedural(plan) => (plan.draw(Some(&foreground(normal)), &mut sampler)?, "procedural".into()),
            Source::Files(files) => {
                let (name, mask) = &files[(index % files.len() as u64) as usize];
                (mask.clone(), name.clone())
            }
        })
    }

    /// What the masks depend on beside the seed, for a run's recipe: one text that differs when they would.
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        let (name, masks): (&str, Vec<&Mask>) = match &self.source {
            Source::Real(masks) => ("real", masks.iter().collect()),
            Source::Procedural(plan) => {
                hash.update(format!("{plan:?}"));
                ("procedural", Vec::new())
            }
            Source::Files(files) => ("files", files.iter().map(|(_, mask)| mask).collect()),
        };
        hash.update(name);
        for mask in masks {
            hash.update((mask.width() as u64).to_le_bytes());
            hash.update(mask.pixels().iter().map(|&pixel| u8::from(pixel)).collect::<Vec<_>>());
        }
        hexadecimal(&hash.finalize())
    }
}

/// A real mask, augmented so that it lies on the object as far as real masks do; the best of several draws when none does.
fn augmented(masks: &[Mask], object: &Mask, sampler: &mut Sampler) -> Mask {
    let mut best: Option<(f32, Mask)> = None;
    for _ in 0..DRAWS {
        let mask = sampler.pick(masks).clone();
        let picture = Picture::from_parts(mask.width(), mask.height(), vec![0.0; 3 * mask.width() * mask.height()]);
        let mask = AUGMENTATION.apply(&Sample { picture, mask }, sampler).mask;
        let inside = mask.intersection(object).area() as f32 / mask.area().max(1) as f32;
        if best.as_ref().is_none_or(|(most, _)| inside > *most) {
            best = Some((inside, mask));
        }
        if inside >= ON_OBJECT {
            break;
        }
    }
    best.map_or_else(|| masks[0].clone(), |(_, mask)| mask)
}

fn training_masks(found: &DefectType, preset: PresetName, side: usize) -> Result<Vec<Mask>> {
    let pairs = found.training_pairs(split_rule(preset));
    pairs.iter().map(|pair| not_empty(resized_mask(&Mask::load(&pair.mask)?, side), &pair.mask)).collect()
}

fn files(folder: &Path, side: usize) -> Result<Vec<(String, Mask)>> {
    let unreadable =
        |error: std::io::Error| input_error!("--masks {}: {error}; expected real, procedural or a folder of mask files", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_file() && !name.starts_with('.') {
            names.push(name.to_owned());
        }
    }
    names.sort_by(|a, b| natural_order(a, b));
    if names.is_empty() {
        invalid_input!("--masks {}: the folder holds no mask file", folder.display());
    }
    names
        .into_iter()
        .map(|name| {
            let path = folder.join(&name);
            let mask = not_empty(resized_mask(&Mask::load(&path)?, side), &path)?;
            Ok((name, mask))
        })
        .collect()
}

fn not_empty(mask: Mask, path: &Path) -> Result<Mask> {
    if mask.is_empty() {
        invalid_input!("{}: the mask has no pixel set, so there is nowhere to put a defect", path.display());
    }
    Ok(mask)
}
