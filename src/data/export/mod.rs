//! Data sets as other programs want them: anomalib, COCO, YOLO.

mod anomalib;
mod coco;
mod outline;
#[cfg(test)]
mod tests;
mod yolo;

use std::fs;
use std::path::{Component, Path};

use crate::data::dataset::{Dataset, DefectType, Object};
use crate::error::Result;
use crate::files;
use crate::{input_error, invalid_input};

pub use anomalib::anomalib;
pub use coco::coco;
pub use outline::{Outline, outlines};
pub use yolo::yolo;

/// What an export consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Pictures with defects.
    pub pairs: usize,
    /// Normal pictures.
    pub normals: usize,
    /// The files that another program is given, relative to the folder.
    pub entry_points: Vec<String>,
}

/// A class of defects: the type of an object.
fn class(object: &Object, kind: &DefectType) -> String {
    format!("{}+{}", object.name, kind.name)
}

/// All classes, in the data set's order.
fn classes(pairs: &Dataset) -> Vec<String> {
    pairs.types().map(|(object, kind)| class(object, kind)).collect()
}

/// Gives a file a second name, as a hard link where the file system has them and as a copy elsewhere; what was there by that name is replaced.
fn place(from: &Path, to: &Path) -> Result<()> {
    let failed = |error: std::io::Error| input_error!("cannot put {} at {}: {error}", from.display(), to.display());
    // Followed: a link to a link would point to nowhere once the data set moves.
    let source = from.canonicalize().map_err(failed)?;
    if let Some(folder) = to.parent() {
        files::create_folder(folder)?;
    }
    match fs::remove_file(to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    if fs::hard_link(&source, to).is_ok() {
        return Ok(());
    }
    files::write_bytes_atomic(to, &fs::read(&source).map_err(failed)?)
}

/// A path below `root` with `/` between its parts.
fn relative(path: &Path, root: &Path) -> Result<String> {
    let parts: Option<Vec<&str>> = path
        .strip_prefix(root)
        .ok()
        .and_then(|path| path.components().map(|part| if let Component::Normal(name) = part { name.to_str() } else { None }).collect());
    match parts {
        Some(parts) => Ok(parts.join("/")),
        None => invalid_input!("{}: expected a path below {} with a name in UTF-8", path.display(), root.display()),
    }
}

/// The extension of a picture's name, small; `png` without one.
fn extension(path: &Path) -> String {
    path.extension().and_then(|extension| extension.to_str()).map_or_else(|| "png".to_owned(), str::to_ascii_lowercase)
}
