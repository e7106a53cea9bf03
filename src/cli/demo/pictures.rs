//! The contact sheet: for each type a training example, then generated pairs with what happened on the way.

use std::path::Path;

use super::super::generate::intermediates;
use super::Run;
use super::measure::{self, Pair};
use crate::anomaly::inversion::split_rule;
use crate::anomaly::learned::Kind;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::report::{Cell, Sheet, heat_map};

const HEADINGS: [&str; 9] = ["normal", "mask", "generated", "|difference|", "estimate, early", "halfway", "weights, early", "halfway", "late"];
const EXAMPLE_HEADINGS: [&str; 2 * EXAMPLES] = ["learned from", "mask", "", "", "", "", "", ""];
/// Pixels of one picture on the sheet.
const SIDE: usize = 128;
/// Training examples on a type's first row.
const EXAMPLES: usize = 4;
/// The difference is shown brightest from this share of the range.
const BRIGHTEST_DIFFERENCE: f32 = 0.5;

/// Draws the sheet.
pub(super) fn contact_sheet(run: &Run) -> Result<Picture> {
    let mut sheet = Sheet::new(SIDE);
    let generated = run.folder.join("generated");
    for kind in &run.learned.metadata.kinds {
        sheet.title(format!("{}: {}", kind.object, kind.defect));
        sheet.headings(&EXAMPLE_HEADINGS);
        sheet.row(examples(run, kind)?);
        sheet.headings(&HEADINGS);
        for pair in measure::pairs(&generated, run.dataset, kind)?.iter().take(super::WATCHED as usize) {
            sheet.row(generated_row(&generated, kind, pair)?);
        }
    }
    Ok(sheet.draw())
}

/// Training pictures and their masks.
fn examples(run: &Run, kind: &Kind) -> Result<Vec<Cell>> {
    let found = run.dataset.object(&kind.object)?.defect_type(&kind.defect)?;
    let mut cells = Vec::new();
    for pair in found.training_pairs(split_rule(run.learned.metadata.preset.name)).iter().take(EXAMPLES) {
        cells.push(Cell::Picture(Picture::load(&pair.image)?.resized(SIDE, SIDE)));
        cells.push(Cell::Picture(shown(&Mask::load(&pair.mask)?)));
    }
    Ok(cells)
}

fn generated_row(generated: &Path, kind: &Kind, pair: &Pair) -> Result<Vec<Cell>> {
    let mut cells = vec![
        Cell::Picture(pair.normal.clone()),
        Cell::Picture(shown(&pair.mask)),
        Cell::Picture(pair.image.clone()),
        Cell::Picture(difference(pair)),
    ];
    let folder = intermediates(generated, kind, pair.index);
    let (estimates, weights) = (steps(&folder, "_estimate.png")?, steps(&folder, "_weights.png")?);
    cells.push(at(&estimates, 0.0));
    cells.push(at(&estimates, 0.5));
    cells.push(at(&weights, 0.0));
    cells.push(at(&weights, 0.5));
    cells.push(at(&weights, 1.0));
    Ok(cells)
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

/// A mask as a black and white picture.
fn shown(mask: &Mask) -> Picture {
    let pixels = mask.pixels().iter().flat_map(|&inside| [if inside { 1.0 } else { -1.0 }; 3]).collect();
    Picture::from_parts(mask.width(), mask.height(), pixels)
}

fn difference(pair: &Pair) -> Picture {
    let changes: Vec<f32> = pair
        .image
        .pixels()
        .chunks_exact(3)
        .zip(pair.normal.pixels().chunks_exact(3))
        .map(|(new, old)| (0..3).map(|i| (new[i] - old[i]).abs()).sum::<f32>() / 6.0)
        .collect();
    heat_map(&changes, pair.image.width(), pair.image.height(), 0.0, BRIGHTEST_DIFFERENCE)
}
