//! Variants as rows: switches, the localisation network's numbers averaged over objects, alignment with the masks; as text, CSV and JSON.

use serde_json::{Value, json};

use super::{Measured, VARIANTS, Variant};
use crate::evaluation::experiment::table as inspection;
use crate::evaluation::grid;
use crate::evaluation::quality::{MEASURES, Numbers, table as quality};
use crate::evaluation::scores::METRICS;

/// Alignment and background: the first of [`MEASURES`], which need no network.
const ALIGNMENT: usize = 4;

/// One variant.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub variant: Variant,
    /// The mean over objects, or the one object's.
    pub inspection: inspection::Row,
    /// Means of the quality's numbers.
    pub quality: Numbers,
}

/// A row a variant, in order.
pub fn rows(measured: &[Measured]) -> Vec<Row> {
    measured.iter().filter_map(row).collect()
}

fn row(measured: &Measured) -> Option<Row> {
    let inspection = inspection::rows(&measured.outcomes);
    let quality = quality::rows(&measured.quality);
    let whole = inspection.iter().rev().find(|row| row.defect.is_none())?;
    Some(Row { variant: measured.variant, inspection: whole.clone(), quality: quality.last()?.numbers })
}

/// Headings and cells for people, in per cent; columns without any number are left out.
pub fn lines(rows: &[Row]) -> Vec<Vec<String>> {
    let renamed: Vec<inspection::Row> =
        rows.iter().map(|row| inspection::Row { source: row.variant.name.to_owned(), object: None, ..row.inspection.clone() }).collect();
    let numbers = inspection::lines(&renamed, false);
    let mut lines = vec![["variant", "SAE", "ML", "AAR"].map(str::to_owned).to_vec()];
    lines[0].extend_from_slice(&numbers[0][2..]);
    lines[0].extend(MEASURES[..ALIGNMENT].iter().map(|measure| measure.heading.to_owned()));
    for (row, numbers) in rows.iter().zip(&numbers[1..]) {
        let Variant { name, spatial_embedding, masked_loss, reweighting, .. } = row.variant;
        let mut line = vec![name.to_owned()];
        line.extend([spatial_embedding, masked_loss, reweighting].map(|on| if on { "yes" } else { "-" }.to_owned()));
        line.extend_from_slice(&numbers[2..]);
        line.extend((0..ALIGNMENT).map(|measure| quality::cell(measure, row.quality.0[measure])));
        lines.push(line);
    }
    lines
}

/// The table for people.
pub fn text(rows: &[Row]) -> String {
    grid::aligned(&lines(rows), 4)
}

/// All rows with switches as 0 and 1, mean and spread of every metric, and alignment; shares 0 to 1.
pub fn csv(rows: &[Row]) -> String {
    let mut lines = vec![["variant", "spatial_embedding", "masked_loss", "reweighting", "seeds"].map(str::to_owned).to_vec()];
    lines[0].extend(METRICS.iter().flat_map(|metric| [metric.name.to_owned(), format!("{}_spread", metric.name)]));
    lines[0].extend(MEASURES[..ALIGNMENT].iter().map(|measure| measure.name.to_owned()));
    for row in rows {
        let Variant { name, spatial_embedding, masked_loss, reweighting, .. } = row.variant;
        let mut line = vec![name.to_owned()];
        line.extend([spatial_embedding, masked_loss, reweighting].map(|on| u8::from(on).to_string()));
        line.push(row.inspection.seeds.len().to_string());
        for summary in (0..METRICS.len()).map(|metric| row.inspection.summary(metric)) {
            line.push(grid::number(summary.map(|summary| summary.mean)));
            line.push(grid::number(summary.and_then(|summary| summary.spread)));
        }
        line.extend(row.quality.0[..ALIGNMENT].iter().map(|number| grid::number(*number)));
        lines.push(line);
    }
    grid::csv(&lines)
}

/// The rows, and everything of every object and type behind them.
pub fn json(measured: &[Measured]) -> Value {
    let row = |row: &Row| {
        let alignment: serde_json::Map<_, _> =
            MEASURES[..ALIGNMENT].iter().zip(row.quality.0).map(|(measure, value)| (measure.name.to_owned(), json!(value))).collect();
        json!({"variant": row.variant, "metrics": row.inspection.json()["metrics"], "alignment": alignment})
    };
    let details = |one: &Measured| (one.variant.name.to_owned(), inspection::json(&inspection::rows(&one.outcomes))["rows"].clone());
    json!({
        "protocols": inspection::json(&[])["protocols"],
        "rows": rows(measured).iter().map(row).collect::<Vec<_>>(),
        "details": measured.iter().map(details).collect::<serde_json::Map<_, _>>(),
    })
}

/// The rows of what [`json()`] made; `None` of anything else.
pub fn parse(json: &Value) -> Option<Vec<Row>> {
    let row = |row: &Value| {
        let name = row["variant"]["name"].as_str()?;
        let variant = *VARIANTS.iter().find(|variant| variant.name == name)?;
        let inspected = json!({"rows": [{"source": name, "object": null, "type": null, "metrics": row["metrics"]}]});
        let inspection = inspection::parse(&inspected)?.pop()?;
        let number = |measure: usize| row["alignment"][MEASURES[measure].name].as_f64();
        Some(Row { variant, inspection, quality: Numbers(std::array::from_fn(number)) })
    };
    json["rows"].as_array()?.iter().map(row).collect()
}
