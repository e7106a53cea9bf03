//! Everything of one object that networks are trained on, in memory.

use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{Source, Specimen, crop_paste, cut_paste, perlin};
use crate::data::augmentation::Augmentation;
use crate::data::dataset::{Object, Pair, SplitRule};
use crate::data::foreground::foreground;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::data::pretraining::{self, Framing};
use crate::digest::hexadecimal;
use crate::error::{Result, bail};
use crate::invalid_input;
use crate::tensor::random::Sampler;

/// Procedural textures that [`Source::Perlin`] blends in.
const TEXTURES: u64 = 48;

/// How much is loaded and at what size.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Side of the pictures in pixels.
    pub side: usize,
    /// The most generated pairs of a type; the released program takes 500.
    pub pairs_per_type: usize,
    /// Which real pairs are for training.
    pub split: SplitRule,
}

/// One object's normal pictures, real training pairs and generated pairs.
#[derive(Debug)]
pub struct Material {
    normals: Vec<Specimen>,
    /// Where the object is on each normal picture.
    objects: Vec<Mask>,
    /// By type, in the data set's order.
    real: Vec<Vec<Specimen>>,
    /// By type, in the data set's order; empty where nothing was generated.
    generated: Vec<Vec<Specimen>>,
    textures: Vec<Picture>,
}

impl Material {
    /// Loads what `sources` need of `object`, with the object of the same name of the generated set.
    ///
    /// # Errors
    /// When a file cannot be read, a mask is empty, there is no normal picture, or the generated set lacks all of the object's types (exit code 2).
    pub fn load(object: &Object, generated: Option<&Object>, sources: &[Source], amounts: Amounts) -> Result<Self> {
        let side = amounts.side;
        let needs = |source| sources.contains(&source);
        let needs_generated = sources.iter().any(|source| source.needs_generated());
        if object.normals.is_empty() {
            invalid_input!("{}: no normal picture in train/good to train on", object.name);
        }
        let normals: Vec<Specimen> = object.normals.par_iter().map(|path| Specimen::load(path, None, side)).collect::<Result<_>>()?;
        let objects = if needs(Source::CropPaste) { normals.par_iter().map(|normal| foreground(&normal.picture())).collect() } else { Vec::new() };
        let real = object.types.iter().map(|found| load_pairs(found.training_pairs(amounts.split), side)).collect::<Result<Vec<_>>>()?;
        let pairs = |name: &str| -> &[Pair] {
            let found = generated.filter(|_| needs_generated).and_then(|object| object.types.iter().find(|found| found.name == name));
            found.map_or(&[], |found| &found.pairs[..found.pairs.len().min(amounts.pairs_per_type)])
        };
        let generated = object.types.iter().map(|found| load_pairs(pairs(&found.name), side)).collect::<Result<Vec<_>>>()?;
        if needs_generated && generated.iter().all(Vec::is_empty) {
            let names: Vec<&str> = object.types.iter().map(|found| found.name.as_str()).collect();
            invalid_input!("--generated has no pair of {}; expected {}/test/TYPE/* with TYPE of {}", object.name, object.name, names.join(", "));
        }
        let count = if needs(Source::Perlin) { TEXTURES } else { 0 };
        let textures = (0..count).into_par_iter().map(|index| pretraining::example(0, index, side, Framing::Whole).0).collect();
        Ok(Self { normals, objects, real, generated, textures })
    }

    /// A random normal picture.
    pub fn normal(&self, sampler: &mut Sampler) -> &Specimen {
        sampler.pick(&self.normals)
    }

    /// Types (positions in the data set) that a source has pictures of: both kinds of them where it takes both.
    pub fn types(&self, source: Source) -> Vec<usize> {
        let pools = self.pools(source);
        (0..self.real.len()).filter(|&kind| pools.iter().all(|pool| !pool[kind].is_empty())).collect()
    }

    /// The pairs by type that a source takes.
    fn pools(&self, source: Source) -> Vec<&[Vec<Specimen>]> {
        match source {
            Source::Generated => vec![&self.generated],
            Source::GeneratedAndReal => vec![&self.generated, &self.real],
            Source::Real | Source::CropPaste => vec![&self.real],
            Source::CutPaste | Source::Perlin => Vec::new(),
        }
    }

    /// A random picture with a defect of a source, and its type where the source has types. Every type is as probable.
    ///
    /// # Errors
    /// When the material was loaded without what the source needs.
    pub fn defect(&self, source: Source, sampler: &mut Sampler) -> Result<(Specimen, Option<usize>)> {
        let types = self.types(source);
        let has_types = source.has_types();
        if (has_types && types.is_empty()) || (source == Source::Perlin && self.textures.is_empty()) {
            bail!("the material has nothing for the source {}", source.name());
        }
        let kind = if has_types { *sampler.pick(&types) } else { 0 };
        let specimen = match source {
            Source::Generated => self.generated(kind, sampler),
            // One pool: every pair is as probable as any other.
            Source::GeneratedAndReal if sampler.below(self.generated[kind].len() + self.real[kind].len()) < self.generated[kind].len() => {
                self.generated(kind, sampler)
            }
            Source::GeneratedAndReal | Source::Real => self.augmented(kind, sampler),
            Source::CropPaste => {
                let defect = sampler.pick(&self.real[kind]);
                let index = sampler.below(self.normals.len());
                let drawn = crop_paste::draw(&self.normals[index].picture(), &self.objects[index], &defect.sample(), sampler);
                drawn.map_or_else(|| defect.clone(), Specimen::from)
            }
            Source::CutPaste => cut_paste::draw(&self.normal(sampler).picture(), sampler).into(),
            Source::Perlin => {
                let normal = self.normal(sampler).picture();
                perlin::draw(&normal, sampler.pick(&self.textures), sampler)?.into()
            }
        };
        Ok((specimen, has_types.then_some(kind)))
    }

    /// A random generated pair of a type.
    fn generated(&self, kind: usize, sampler: &mut Sampler) -> Specimen {
        sampler.pick(&self.generated[kind]).clone()
    }

    /// A random real pair of a type, flipped, turned, cropped.
    fn augmented(&self, kind: usize, sampler: &mut Sampler) -> Specimen {
        let sample = sampler.pick(&self.real[kind]).sample();
        Augmentation { probability: 0.9, ..Augmentation::default() }.apply(&sample, sampler).into()
    }

    /// A digest of all that a source draws from: two runs with equal digests and seeds train on the same pictures.
    pub fn digest(&self, source: Source) -> String {
        let mut hash = Sha256::new();
        for pool in std::iter::once(&self.normals).chain(self.pools(source).into_iter().flatten()) {
            hash.update((pool.len() as u64).to_le_bytes());
            pool.iter().for_each(|specimen| specimen.hash(&mut hash));
        }
        hexadecimal(&hash.finalize())
    }
}

fn load_pairs(pairs: &[Pair], side: usize) -> Result<Vec<Specimen>> {
    let load = |pair: &Pair| -> Result<Specimen> {
        let specimen = Specimen::load(&pair.image, Some(&pair.mask), side)?;
        not_empty(specimen, &pair.mask)
    };
    pairs.par_iter().map(load).collect()
}

fn not_empty(specimen: Specimen, path: &Path) -> Result<Specimen> {
    if specimen.mask().is_empty() {
        invalid_input!("{}: the mask has no pixel set; mark the defect or remove the pair", path.display());
    }
    Ok(specimen)
}
