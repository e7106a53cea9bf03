//! The contact sheet: for each type a training example, then generated pairs with what happened on the way.

use super::Run;
use super::measure;
use crate::anomaly::inversion::split_rule;
use crate::anomaly::learned::Kind;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::report::{Cell, HEADINGS, Sheet, intermediates, row, shown};

const EXAMPLE_HEADINGS: [&str; 2 * EXAMPLES] = ["learned from", "mask", "", "", "", "", "", ""];
/// Pixels of one picture on the sheet.
const SIDE: usize = 128;
/// Training examples on a type's first row.
const EXAMPLES: usize = 4;

/// Draws the sheet.
pub(super) fn contact_sheet(run: &Run) -> Result<Picture> {
    let mut sheet = Sheet::new(SIDE);
    let generated = run.folder.join("generated");
    for kind in &run.learned.metadata.kinds {
        sheet.title(format!("{}: {}", kind.object, kind.defect));
        sheet.headings(&EXAMPLE_HEADINGS);
        sheet.row(examples(run, kind)?);
        sheet.headings(&HEADINGS);
        for (index, pair) in measure::pairs(&generated, run.dataset, kind)?.iter().take(super::WATCHED as usize) {
            sheet.row(row(pair, Some(&intermediates(&generated, kind, *index)))?);
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
