//! What `anodiff quality` measured.

use super::{Block, Place, Section};
use crate::error::Result;
use crate::evaluation::quality::table;
use crate::input_error;
use crate::report::Table;

/// The section of a folder with quality.json.
pub(super) fn section(place: &Place) -> Result<Option<Section>> {
    let Some(json) = place.json("quality.json")? else { return Ok(None) };
    let rows = table::parse(&json).ok_or_else(|| input_error!("{}/quality.json: not a result of `anodiff quality`", place.path.display()))?;
    let table = Table::of_lines("Each type, each object's mean over its types, and the mean over objects", table::lines(&rows));
    let protocols = json["protocols"].as_object().into_iter().flatten();
    let protocols = protocols.map(|(name, id)| (name.clone(), id.as_str().unwrap_or_default().to_owned())).collect();
    let blocks = vec![
        Block::Table(place.table("quality"), table),
        Block::Table(place.table("quality-definitions"), Table::of_pairs("Definitions", ["number", "id"], protocols)),
    ];
    Ok(Some(Section { heading: place.heading("Quality of the generated pairs"), blocks }))
}
