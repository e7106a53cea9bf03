//! Generated pairs: how many of each type, how they were made, and contact sheets.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Block, Place, Section};
use crate::anomaly::generated_set::{Entry, read_entries};
use crate::anomaly::learned::Kind;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::evaluation::quality::Pair;
use crate::report::{Cell, HEADINGS, Sheet, Table, intermediates, row, shown};

/// Pixels of one picture on a sheet.
const SIDE: usize = 128;
/// Rows of all sheets together, so that the page of a large data set can still be opened; each type has one at least.
const MOST_ROWS: usize = 120;
/// Rows of one type.
const MOST_OF_A_TYPE: usize = 4;
/// Cells of a row before those of intermediates.
const PLAIN: usize = 4;

/// The section of a folder with a manifest.
pub(super) fn section(place: &Place, data: Option<&Path>) -> Result<Option<Section>> {
    let mut kinds: BTreeMap<Kind, Vec<Entry>> = BTreeMap::new();
    for entry in read_entries(&place.path)? {
        kinds.entry(entry.kind()).or_default().push(entry);
    }
    if kinds.is_empty() {
        return Ok(None);
    }
    let mut blocks = vec![Block::Table(place.table("pairs"), table(&kinds))];
    let explanation = match data {
        Some(_) => {
            "The difference is between the generated and the normal picture. Where they were kept: estimates, what the denoiser expected on the \
             way of the close-up that the defect is drawn in; weights, the attention re-weighting at its latent resolution."
        }
        None => "The normal pictures are not shown: give --data, the data set that the pairs were made from.",
    };
    blocks.push(Block::Text(explanation.to_owned()));
    let rows = (MOST_ROWS / kinds.len()).clamp(1, MOST_OF_A_TYPE);
    for (kind, entries) in &kinds {
        let shown = rows.min(entries.len());
        let sheet = sheet(place, data, kind, &entries[..shown])?;
        let description = format!("{} {}: the first {shown} of {} generated pairs", kind.object, kind.defect, entries.len());
        blocks.push(Block::Picture(sheet.draw().to_png()?, description));
    }
    Ok(Some(Section { heading: place.heading("Generated pairs"), blocks }))
}

fn table(kinds: &BTreeMap<Kind, Vec<Entry>>) -> Table {
    let headings = ["object", "type", "pairs", "steps", "eta", "guidance", "coarse noise", "close-up", "re-weighting", "masks", "seed", "recipe"];
    let mut lines = vec![headings.map(str::to_owned).to_vec()];
    for (kind, entries) in kinds {
        let first = &entries[0];
        lines.push(vec![
            kind.object.clone(),
            kind.defect.clone(),
            entries.len().to_string(),
            first.steps.to_string(),
            first.eta.to_string(),
            first.guidance.to_string(),
            first.coarse_noise.to_string(),
            first.close_up.to_string(),
            first.reweight.clone(),
            first.mask_source.clone(),
            first.seed.to_string(),
            first.recipe.clone(),
        ]);
    }
    Table::of_lines("Pairs of each type, and how the first was made", lines)
}

fn sheet(place: &Place, data: Option<&Path>, kind: &Kind, entries: &[Entry]) -> Result<Sheet> {
    let mut sheet = Sheet::new(SIDE);
    sheet.title(format!("{}: {}", kind.object, kind.defect));
    let Some(data) = data else {
        sheet.headings(&HEADINGS[1..3]);
        for entry in entries {
            let (mask, image) = (Mask::load(&place.path.join(&entry.mask))?, Picture::load(&place.path.join(&entry.image))?);
            sheet.row(vec![Cell::Picture(shown(&mask)), Cell::Picture(image)]);
        }
        return Ok(sheet);
    };
    let kept = entries.iter().any(|entry| intermediates(&place.path, kind, entry.index).is_dir());
    sheet.headings(if kept { &HEADINGS } else { &HEADINGS[..PLAIN] });
    for entry in entries {
        let folder = intermediates(&place.path, kind, entry.index);
        sheet.row(row(&Pair::load(&place.path, data, entry)?, kept.then_some(folder.as_path()))?);
    }
    Ok(sheet)
}
