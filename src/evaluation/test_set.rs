//! What trained networks are tested on: an object's normal test pictures and the test part of its pairs.

use std::path::PathBuf;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::data::dataset::{Object, SplitRule};
use crate::digest::hexadecimal;
use crate::error::Result;
use crate::evaluation::sources::Specimen;

/// An object's test pictures, the normal ones first.
#[derive(Debug)]
pub struct TestSet {
    /// Names of the types, in the data set's order.
    pub types: Vec<String>,
    /// The pictures.
    pub pictures: Vec<TestPicture>,
}

/// A test picture.
#[derive(Debug)]
pub struct TestPicture {
    /// Picture and true mask at the working size.
    pub specimen: Specimen,
    /// Position of its type; `None` on a normal picture.
    pub kind: Option<usize>,
}

impl TestSet {
    /// Loads the pictures at `side` x `side` pixels. Masks are reduced as for training, so that no thin defect is lost.
    ///
    /// # Errors
    /// When a file cannot be read (exit code 2).
    pub fn load(object: &Object, split: SplitRule, side: usize) -> Result<Self> {
        let normals = object.test_normals.iter().map(|path| (path, None, None));
        let pairs = object
            .types
            .iter()
            .enumerate()
            .flat_map(|(kind, found)| found.test_pairs(split).iter().map(move |pair| (&pair.image, Some(&pair.mask), Some(kind))));
        let files: Vec<_> = normals.chain(pairs).collect();
        let load = |(picture, mask, kind): (&PathBuf, Option<&PathBuf>, Option<usize>)| -> Result<TestPicture> {
            Ok(TestPicture { specimen: Specimen::load(picture, mask.map(PathBuf::as_path), side)?, kind })
        };
        let pictures = files.into_par_iter().map(load).collect::<Result<_>>()?;
        Ok(Self { types: object.types.iter().map(|found| found.name.clone()).collect(), pictures })
    }

    /// A digest of all pictures, masks and types.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for picture in &self.pictures {
            let kind = picture.kind.map_or("", |kind| &self.types[kind]);
            hash.update((kind.len() as u64).to_le_bytes());
            hash.update(kind);
            picture.specimen.hash(&mut hash);
        }
        hexadecimal(&hash.finalize())
    }
}
