//! What `anodiff ablate` measured.

use super::{Block, Place, Section};
use crate::error::Result;
use crate::evaluation::ablation::table;
use crate::evaluation::scores::METRICS;
use crate::input_error;
use crate::report::{Bars, Table};

/// Bars are drawn of these.
const BARS: [(&str, &str); 3] = [("pixel_auroc", "Pixel AUROC"), ("pixel_average_precision", "Pixel AP"), ("pixel_f1_max", "Pixel F1-max")];

/// The section of a folder with ablation.json.
pub(super) fn section(place: &Place) -> Result<Option<Section>> {
    let Some(json) = place.json("ablation.json")? else { return Ok(None) };
    let rows = table::parse(&json).ok_or_else(|| input_error!("{}/ablation.json: not a result of `anodiff ablate`", place.path.display()))?;
    let caption = "SAE spatial embedding, ML masked loss, AAR attention re-weighting; per cent, mean over objects";
    let mut blocks = vec![Block::Table(place.table("ablation"), Table::of_lines(caption, table::lines(&rows)))];
    let value = |row: &table::Row, name: &str| {
        let position = METRICS.iter().position(|metric| metric.name == name)?;
        Some(100.0 * row.inspection.summary(position)?.mean)
    };
    let series = BARS.map(|(_, title)| title.to_owned()).to_vec();
    let groups = rows.iter().map(|row| (row.variant.name.to_owned(), BARS.iter().map(|(name, _)| value(row, name)).collect())).collect();
    let bars = Bars { title: "Variants, per cent".into(), maximum: 100.0, series, groups };
    blocks.push(Block::Svg(bars.title.clone(), bars.svg()));
    Ok(Some(Section { heading: place.heading("Ablation"), blocks }))
}
