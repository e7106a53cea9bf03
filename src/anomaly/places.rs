//! Where the defects of a type go: which normal picture and which mask each number has.

use std::path::PathBuf;

use crate::anomaly::learned::Kind;
use crate::anomaly::mask_source::{Drawn, MaskSource, Masks, Request};
use crate::anomaly::presets::PresetName;
use crate::data::dataset::{Dataset, DefectType, Object};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::{Result, ensure};
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::tensor::random::Sampler;

/// Where one defect goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// The normal picture.
    pub normal: Picture,
    /// The mask on it, and where that came from.
    pub drawn: Drawn,
}

/// What is known of places without any network.
#[derive(Debug)]
pub struct Prospects {
    normals: Vec<Picture>,
    /// The masks, where no network draws them.
    drawn: Option<Vec<Drawn>>,
}

impl Prospects {
    /// Normal pictures and masks, where no network draws these.
    pub fn images(&self) -> Option<Vec<(&Picture, &Mask)>> {
        let drawn = self.drawn.as_ref()?;
        Some(self.normals.iter().zip(drawn).map(|(normal, drawn)| (normal, &drawn.mask)).collect())
    }
}

/// A type in a data set, and its object with normal pictures to put defects on.
///
/// # Errors
/// When the data set lacks the type or has no normal picture of the object (exit code 2).
pub fn find<'d>(dataset: &'d Dataset, kind: &Kind) -> Result<(&'d Object, &'d DefectType)> {
    let object = dataset.object(&kind.object)?;
    if object.normals.is_empty() {
        invalid_input!(
            "{} has no normal picture to put a defect on; expected {}/train/good/*",
            kind.object,
            dataset.root.join(&kind.object).display()
        );
    }
    Ok((object, object.defect_type(&kind.defect)?))
}

/// The places of a type. Place `index` is a function of (seed, object, type, index) and the data set alone.
pub struct Places<'a> {
    object: &'a Object,
    found: &'a DefectType,
    kind: Kind,
    masks: Masks<'a>,
    side: usize,
    seed: u64,
}

impl<'a> Places<'a> {
    /// Reads the masks of a source, for pictures of `side` x `side` pixels.
    ///
    /// # Errors
    /// As [`find`] and [`Masks::load`].
    pub fn new(
        dataset: &'a Dataset,
        base: &'a BaseModel,
        kind: &Kind,
        masks: &MaskSource,
        preset: PresetName,
        side: usize,
        seed: u64,
    ) -> Result<Self> {
        let (object, found) = find(dataset, kind)?;
        let masks = Masks::load(masks, base, &Request { kind, found, preset, side, seed })?;
        Ok(Self { object, found, kind: kind.clone(), masks, side, seed })
    }

    /// The places of some numbers; learned masks are drawn together. `stop` as in [`Masks::masks`].
    pub fn at(&self, indices: &[u64], stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Place>> {
        self.complete(indices, self.prospects(indices, &|| true)?, stop)
    }

    /// The part of [`Places::at`] that reads and draws without a network, for another thread than the computing one. It is given up when it is not
    /// wanted any more, which is asked before each picture.
    pub fn prospects(&self, indices: &[u64], is_wanted: &dyn Fn() -> bool) -> Result<Prospects> {
        let load = |&index: &u64| {
            ensure!(is_wanted(), "the pictures are not wanted any more");
            Ok(Picture::load(self.normal(index))?.resized(self.side, self.side))
        };
        let normals: Vec<Picture> = indices.iter().map(load).collect::<Result<_>>()?;
        let drawn = if self.masks.are_learned() { None } else { Some(self.masks.masks(&wanted(indices, &normals), &|| None)?) };
        Ok(Prospects { normals, drawn })
    }

    /// The rest of [`Places::at`].
    pub fn complete(&self, indices: &[u64], Prospects { normals, drawn }: Prospects, stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Place>> {
        let drawn = match drawn {
            Some(drawn) => drawn,
            None => self.masks.masks(&wanted(indices, &normals), stop)?,
        };
        Ok(normals.into_iter().zip(drawn).map(|(normal, drawn)| Place { normal, drawn }).collect())
    }

    /// The file of a number's normal picture: all of them in a random order, then all again in another.
    pub fn normal(&self, index: u64) -> &PathBuf {
        let count = self.object.normals.len();
        let round = index / count as u64;
        let order = self.sampler("normal", round).permutation(count);
        &self.object.normals[order[(index % count as u64) as usize]]
    }

    /// Random numbers of this type for one purpose.
    pub fn sampler(&self, purpose: &str, index: u64) -> Sampler {
        Sampler::new(self.seed, &format!("generate {purpose}\0{}\0{}", self.kind.object, self.kind.defect), &[index])
    }

    /// The object.
    pub fn object(&self) -> &'a Object {
        self.object
    }

    /// The type's pairs in the data set.
    pub fn found(&self) -> &'a DefectType {
        self.found
    }

    /// The masks.
    pub fn masks(&self) -> &Masks<'a> {
        &self.masks
    }
}

/// Which masks are asked for, on which pictures.
fn wanted<'p>(indices: &[u64], normals: &'p [Picture]) -> Vec<(u64, &'p Picture)> {
    indices.iter().copied().zip(normals).collect()
}
