//! A generated pair as a row of a contact sheet.

use std::path::{Path, PathBuf};

use super::heat::heat_map;
use super::sheet::Cell;
use crate::anomaly::learned::Kind;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::evaluation::quality::Pair;

/// What the cells of [`row`] are.
pub const HEADINGS: [&str; 9] = ["normal", "mask", "generated", "|difference|", "estimate, early", "halfway", "weights, early", "halfway", "late"];
/// The difference is shown brightest from this share of the range.
const BRIGHTEST_DIFFERENCE: f32 = 0.5;

/// Where what was kept on the way to a pair goes, in the folder of the pairs.
pub fn intermediates(generated: &Path, kind: &Kind, index: u64) -> PathBuf {
    generated.join("intermediates").join(&kind.object).join(&kind.defect).join(format!("{index:06}"))
}

/// Normal picture, mask, generated picture and difference; with the folder of intermediates, what was kept there follows.
///
/// # Errors
/// When a file that is there cannot be read (exit code 2).
pub fn row(pair: &Pair, intermediates: Option<&Path>) -> Result<Vec<Cell>> {
    let pictures = [pair.normal.clone(), shown(&pair.mask), pair.image.clone(), difference(pair)];
    let mut cells: Vec<Cell> = pictures.into_iter().map(Cell::Picture).collect();
    if let Some(folder) = intermediates {
        let (estimates, weights) = (steps(folder, "_estimate.png")?, steps(folder, "_weights.png")?);
        cells.extend([at(&estimates, 0.0), at(&estimates, 0.5), at(&weights, 0.0), at(&weights, 0.5), at(&weights, 1.0)]);
    }
    Ok(cells)
}

/// A mask as a black and white picture.
pub fn shown(mask: &Mask) -> Picture {
    let pixels = mask.pixels().iter().flat_map(|&inside| [if inside { 1.0 } else { -1.0 }; 3]).collect();
    Picture::from_parts(mask.width(), mask.height(), pixels)
}

/// Pictures that were kept on the way, from noise to the end.
fn steps(folder: &Path, ending: &str) -> Result<Vec<Picture>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    // Names start with the time step, which falls on the way.
    paths.sort();
    paths.iter().rev().map(|path| Picture::load(path)).collect()
}

fn at(pictures: &[Picture], share: f64) -> Cell {
    let last = pictures.len().saturating_sub(1);
    pictures.get((share * last as f64).round() as usize).map_or(Cell::Empty, |picture| Cell::Picture(picture.clone()))
}

fn difference(pair: &Pair) -> Picture {
    let (new, old) = (pair.image.pixels().chunks_exact(3), pair.normal.pixels().chunks_exact(3));
    let changes: Vec<f32> = new.zip(old).map(|(new, old)| (0..3).map(|i| (new[i] - old[i]).abs()).sum::<f32>() / 6.0).collect();
    heat_map(&changes, pair.image.width(), pair.image.height(), 0.0, BRIGHTEST_DIFFERENCE)
}
