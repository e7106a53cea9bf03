//! Masks from files.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Request, hash_masks};
use crate::anomaly::inversion::resized_mask;
use crate::anomaly::mask_set;
use crate::data::dataset::natural_order;
use crate::data::mask::Mask;
use crate::error::Result;
use crate::{input_error, invalid_input};

/// The masks of a folder.
pub(super) enum Files {
    /// In natural order of their names, taken over and over.
    InTurn(Vec<(String, Mask)>),
    /// By the number of the image, from a folder of `anodiff masks`.
    Numbered {
        /// Where each comes from, and the mask.
        masks: BTreeMap<u64, (String, Mask)>,
        /// The recipe that they were made by.
        recipe: String,
        /// The folder and the type, for errors.
        place: String,
    },
}

impl Files {
    /// The mask files of any folder.
    ///
    /// # Errors
    /// When it cannot be read, holds no file, or a mask is empty (exit code 2).
    pub(super) fn of_folder(folder: &Path, side: usize) -> Result<Self> {
        let unreadable = |error: std::io::Error| {
            input_error!("--masks {}: {error}; expected learned, real, scattered, procedural or a folder of mask files", folder.display())
        };
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
        let load = |name: String| Ok((name.clone(), load(&folder.join(&name), side)?));
        Ok(Self::InTurn(names.into_iter().map(load).collect::<Result<_>>()?))
    }

    /// The masks of a type from a folder of `anodiff masks`.
    ///
    /// # Errors
    /// When it holds none of the type, a file cannot be read, or its masks were made in several ways (exit code 2).
    pub(super) fn of_set(folder: &Path, request: &Request) -> Result<Self> {
        let place = format!("--masks {}: {}", folder.display(), request.kind);
        let entries = mask_set::entries(folder, request.kind)?;
        let Some(recipe) = entries.values().next().map(|entry| entry.recipe.clone()) else {
            invalid_input!("{place}: the folder holds no mask of this type; make some by `anodiff masks`")
        };
        if let Some(other) = entries.values().find(|entry| entry.recipe != recipe) {
            invalid_input!("{place}: the masks were made with different settings (recipes {recipe} and {}); expected one", other.recipe);
        }
        let load = |entry: mask_set::MaskEntry| Ok((entry.index, (entry.source, load(&folder.join(&entry.mask), request.side)?)));
        Ok(Self::Numbered { masks: entries.into_values().map(load).collect::<Result<_>>()?, recipe, place })
    }

    /// The mask of an image and where it came from.
    pub(super) fn mask(&self, index: u64) -> Result<(Mask, String)> {
        match self {
            Self::InTurn(files) => {
                let (name, mask) = &files[(index % files.len() as u64) as usize];
                Ok((mask.clone(), name.clone()))
            }
            Self::Numbered { masks, place, .. } => match masks.get(&index) {
                Some((source, mask)) => Ok((mask.clone(), source.clone())),
                None => invalid_input!("{place}: there is no mask of number {index}; make more by `anodiff masks --count`"),
            },
        }
    }

    /// Refuses masks that lack one for an image numbered below `count`.
    pub(super) fn check_count(&self, count: u64) -> Result<()> {
        let has = |index: &u64| !matches!(self, Self::Numbered { masks, .. } if !masks.contains_key(index));
        (0..count).find(|index| !has(index)).map_or(Ok(()), |missing| self.mask(missing).map(drop))
    }

    /// What the masks are.
    pub(super) fn hash(&self, hash: &mut Sha256) {
        match self {
            Self::InTurn(files) => hash_masks("files", files.iter().map(|(_, mask)| mask), hash),
            // Not the masks themselves: another process of a divided run sees others of the same recipe.
            Self::Numbered { recipe, .. } => hash.update(format!("numbered {recipe}")),
        }
    }
}

fn load(path: &Path, side: usize) -> Result<Mask> {
    let mask = resized_mask(&Mask::load(path)?, side);
    if mask.is_empty() {
        invalid_input!("{}: the mask has no pixel set, so there is nowhere to put a defect", path.display());
    }
    Ok(mask)
}
