//! Data sets in MVTec AD layout: found by scanning, masks matched by stem, everything odd listed.
//!
//! ```text
//! <root>/<object>/train/good/*            normal pictures
//! <root>/<object>/test/good/*             further normal pictures, for testing
//! <root>/<object>/test/<type>/*           pictures with a defect
//! <root>/<object>/ground_truth/<type>/*   their masks: <stem>_mask.* or <stem>.*
//! ```

mod inspect;
mod issue;
mod keep;
mod names;
mod scan;
mod split;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use inspect::{Sizes, TypeInspection, inspect_normals, inspect_type};
pub use issue::{Issue, Problem};
pub use keep::KeepList;
pub use names::{check_name, natural_order, nearest};
pub use split::{Split, SplitRule};

use crate::error::Result;
use crate::invalid_input;

/// What a scan found.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The folder of objects.
    pub root: PathBuf,
    /// In natural order of their names; each has a normal picture or a defect type.
    pub objects: Vec<Object>,
    /// What was left out or looks wrong, in the order of the scan.
    pub issues: Vec<Issue>,
}

/// One kind of inspected thing.
#[derive(Clone, Debug)]
pub struct Object {
    /// The folder's name.
    pub name: String,
    /// `train/good`, in natural order.
    pub normals: Vec<PathBuf>,
    /// `test/good`, in natural order.
    pub test_normals: Vec<PathBuf>,
    /// In natural order of their names; each has at least one pair.
    pub types: Vec<DefectType>,
}

/// One kind of defect of one object.
#[derive(Clone, Debug)]
pub struct DefectType {
    /// The folder's name.
    pub name: String,
    /// In natural order of the pictures' names.
    pub pairs: Vec<Pair>,
}

/// A picture with a defect, and where the defect is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The picture's file.
    pub image: PathBuf,
    /// The mask's file.
    pub mask: PathBuf,
}

impl Dataset {
    /// Scans `root`. Files are listed, not opened: see [`inspect_type`] for a look inside.
    ///
    /// # Errors
    /// Exit code 2 when `root` is not a readable folder or holds no object in this layout; the message says what was seen instead.
    pub fn scan(root: &Path) -> Result<Self> {
        scan::scan(root)
    }

    /// The object of this name.
    ///
    /// # Errors
    /// Exit code 2 when there is none, with the nearest name and all names.
    pub fn object(&self, name: &str) -> Result<&Object> {
        check_name("object", name)?;
        match self.objects.iter().find(|object| object.name == name) {
            Some(object) => Ok(object),
            None => invalid_input!(
                "no object {name:?} in {:?}; {}",
                self.root,
                names::suggestion(name, self.objects.iter().map(|object| object.name.as_str()))
            ),
        }
    }

    /// The chosen objects and types only, in the data set's order. `None` means all; a type need not exist in every chosen object.
    ///
    /// # Errors
    /// Exit code 2 for a name that does not exist, and when no type with pairs is left.
    pub fn select(&self, objects: Option<&[String]>, types: Option<&[String]>) -> Result<Self> {
        for name in objects.unwrap_or_default() {
            self.object(name)?;
        }
        let mut selected = self.clone();
        selected.objects.retain(|object| objects.is_none_or(|names| names.contains(&object.name)));
        if let Some(types) = types {
            for name in types {
                check_name("type", name)?;
                let known = || selected.objects.iter().flat_map(|object| object.types.iter().map(|kind| kind.name.as_str()));
                if !known().any(|kind| kind == name) {
                    invalid_input!("no type {name:?} in the chosen objects of {:?}; {}", self.root, names::suggestion(name, known()));
                }
            }
            selected.objects.iter_mut().for_each(|object| object.types.retain(|kind| types.contains(&kind.name)));
        }
        selected.objects.retain(|object| types.is_none() || !object.types.is_empty());
        if selected.objects.iter().all(|object| object.types.is_empty()) {
            invalid_input!(
                "no defect type with pictures and masks in {:?}; expected <object>/test/<type>/ and <object>/ground_truth/<type>/",
                self.root
            );
        }
        Ok(selected)
    }

    /// Every object with each of its types, in order: the index of a type in this list is its number in a run.
    pub fn types(&self) -> impl Iterator<Item = (&Object, &DefectType)> {
        self.objects.iter().flat_map(|object| object.types.iter().map(move |kind| (object, kind)))
    }
}

impl Object {
    /// The type of this name.
    ///
    /// # Errors
    /// Exit code 2 when there is none, with the nearest name and all names.
    pub fn defect_type(&self, name: &str) -> Result<&DefectType> {
        check_name("type", name)?;
        match self.types.iter().find(|kind| kind.name == name) {
            Some(kind) => Ok(kind),
            None => {
                let known = self.types.iter().map(|kind| kind.name.as_str());
                invalid_input!("no type {name:?} of object {:?}; {}", self.name, names::suggestion(name, known))
            }
        }
    }
}

impl DefectType {
    /// The pairs to learn from.
    pub fn training_pairs(&self, rule: SplitRule) -> &[Pair] {
        &self.pairs[Split::new(self.pairs.len(), rule).train]
    }

    /// The pairs to test on.
    pub fn test_pairs(&self, rule: SplitRule) -> &[Pair] {
        &self.pairs[Split::new(self.pairs.len(), rule).test]
    }
}
