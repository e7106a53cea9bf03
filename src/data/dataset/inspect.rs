//! A look inside the files of a data set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{DefectType, Issue, Pair, Problem};
use crate::data::mask::Mask;
use crate::data::picture::{Picture, decode, dimensions};

/// How many pictures there are of each `(width, height)`.
pub type Sizes = BTreeMap<(usize, usize), usize>;

/// What the files of a defect type hold.
#[derive(Clone, Debug, Default)]
pub struct TypeInspection {
    /// Sizes of the pictures that can be read.
    pub sizes: Sizes,
    /// The share of pixels that each readable mask sets, in the order of the pairs.
    pub shares: Vec<f32>,
    /// How many pairs can be used: both files readable, the mask neither empty nor full.
    pub usable: usize,
    /// What is odd, in the order of the pairs.
    pub issues: Vec<Issue>,
}

/// Decodes every picture and mask of a type. Nothing is an error here: what cannot be read is an issue. Paths are relative to `root`.
pub fn inspect_type(root: &Path, kind: &DefectType) -> TypeInspection {
    let looks: Vec<PairLook> = kind.pairs.par_iter().map(look_at_pair).collect();
    let mut inspection = TypeInspection::default();
    for look in looks {
        inspection.usable += usize::from(look.usable);
        inspection.shares.extend(look.share);
        if let Some(size) = look.size {
            *inspection.sizes.entry(size).or_default() += 1;
        }
        inspection.issues.extend(look.issues.into_iter().map(|(path, problem)| issue(root, path, problem)));
    }
    inspection
}

/// Reads the headers of pictures: their sizes, and which cannot be read. Paths are relative to `root`.
pub fn inspect_normals(root: &Path, pictures: &[PathBuf]) -> (Sizes, Vec<Issue>) {
    let looks: Vec<_> = pictures.par_iter().map(|path| (path, dimensions(path, Picture::BYTES_PER_PIXEL))).collect();
    let (mut sizes, mut issues) = (Sizes::new(), Vec::new());
    for (path, look) in looks {
        match look {
            Ok(size) => *sizes.entry(size).or_default() += 1,
            Err(error) => issues.push(issue(root, path, Problem::Unreadable(error.to_string()))),
        }
    }
    (sizes, issues)
}

fn issue(root: &Path, path: &Path, problem: Problem) -> Issue {
    Issue { path: path.strip_prefix(root).unwrap_or(path).to_path_buf(), problem }
}

#[derive(Default)]
struct PairLook<'a> {
    size: Option<(usize, usize)>,
    share: Option<f32>,
    usable: bool,
    issues: Vec<(&'a Path, Problem)>,
}

fn look_at_pair(pair: &Pair) -> PairLook<'_> {
    let mut look = PairLook::default();
    match decode(&pair.image, Picture::BYTES_PER_PIXEL).map(|image| image.size()) {
        Ok(size) => look.size = Some(size),
        Err(error) => look.issues.push((&pair.image, Problem::Unreadable(error.to_string()))),
    }
    let mask = match Mask::load_counting(&pair.mask) {
        Ok((mask, between)) => {
            if between > 0 {
                let problem = Problem::NotBinary(format!("{between} of {} pixels lie between 0 and its largest value", mask.pixels().len()));
                look.issues.push((&pair.mask, problem));
            }
            mask
        }
        Err(error) => {
            look.issues.push((&pair.mask, Problem::Unreadable(error.to_string())));
            return look;
        }
    };
    look.share = Some(mask.share());
    if mask.is_empty() {
        look.issues.push((&pair.mask, Problem::EmptyMask));
    } else if mask.is_full() {
        look.issues.push((&pair.mask, Problem::FullMask));
    } else {
        look.usable = look.size.is_some();
    }
    if let Some((width, height)) = look.size.filter(|&size| size != (mask.width(), mask.height())) {
        let sizes = format!("mask {}x{}, image {width}x{height}", mask.width(), mask.height());
        look.issues.push((&pair.mask, Problem::OtherSize(sizes)));
    }
    look
}
