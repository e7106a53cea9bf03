//! What `anodiff evaluate` measured: tables, bars, curves, the pictures that went best and worst, the trainings' losses.

use std::path::PathBuf;

use serde_json::Value;

use super::{Block, Place, Section};
use crate::error::Result;
use crate::evaluation::experiment::evidence::Evidence;
use crate::evaluation::experiment::table::{self, Row};
use crate::evaluation::scores::METRICS;
use crate::input_error;
use crate::report::{Bars, Cell, Chart, Series, Sheet, Table, heat_map, log_chart};

/// Bars are drawn of these.
const BARS: [(&str, &str); 3] = [("pixel_average_precision", "Pixel AP"), ("pixel_auroc", "Pixel AUROC"), ("image_auroc", "Image AUROC")];
/// Pixels of one picture on a sheet.
const SIDE: usize = 128;

/// The section of a folder with results.json.
pub(super) fn section(place: &Place) -> Result<Option<Section>> {
    let Some(json) = place.json("results.json")? else { return Ok(None) };
    let rows = table::parse(&json).ok_or_else(|| input_error!("{}/results.json: not a result of `anodiff evaluate`", place.path.display()))?;
    let caption = "Per cent; mean and, over several seeds, standard deviation";
    let mut blocks = vec![Block::Table(place.table("comparison"), Table::of_lines(caption, table::lines(&rows, false)))];
    blocks.extend(BARS.iter().filter_map(|(metric, title)| bars(&rows, metric, title)).map(|bars| Block::Svg(bars.title.clone(), bars.svg())));
    blocks.push(Block::Table(place.table("comparison-by-type"), Table::of_lines(caption, table::lines(&rows, true))));
    for object in distinct(rows.iter().filter_map(|row| row.object.as_deref())) {
        blocks.extend(object_blocks(place, &json, &rows, object)?);
    }
    let definitions = METRICS.iter().map(|metric| (metric.name.to_owned(), metric.protocol.to_owned())).collect();
    blocks.push(Block::Table(place.table("definitions"), Table::of_pairs("Definitions", ["number", "id"], definitions)));
    Ok(Some(Section { heading: place.heading("Inspection networks"), blocks }))
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A metric of every object and the mean, a bar a source.
fn bars(rows: &[Row], metric: &str, title: &str) -> Option<Bars> {
    let position = METRICS.iter().position(|known| known.name == metric)?;
    let whole: Vec<&Row> = rows.iter().filter(|row| row.defect.is_none()).collect();
    let sources = distinct(whole.iter().map(|row| row.source.as_str()));
    let value = |source: &str, object: Option<&str>| {
        let row = whole.iter().find(|row| row.source == source && row.object.as_deref() == object)?;
        Some(100.0 * row.summary(position)?.mean)
    };
    let mut objects: Vec<Option<&str>> = distinct(whole.iter().filter_map(|row| row.object.as_deref())).into_iter().map(Some).collect();
    if objects.len() > 1 {
        objects.push(None);
    }
    let group = |object: &Option<&str>| (object.unwrap_or("mean").to_owned(), sources.iter().map(|source| value(source, *object)).collect());
    let groups: Vec<(String, Vec<Option<f64>>)> = objects.iter().map(group).collect();
    let any = groups.iter().any(|(_, values)| values.iter().any(Option::is_some));
    let series = sources.iter().map(|source| (*source).to_owned()).collect();
    any.then(|| Bars { title: format!("{title}, per cent"), maximum: 100.0, series, groups })
}

/// The folder of each source's first training on an object.
fn units(place: &Place, json: &Value, rows: &[Row], object: &str) -> Vec<(String, PathBuf)> {
    let seed = json["seeds"][0].as_u64().unwrap_or_default();
    let sources = distinct(rows.iter().map(|row| row.source.as_str())).into_iter();
    let unit = |source: &str| (source.to_owned(), place.path.join(source).join(format!("seed-{seed}")).join(object));
    sources.map(unit).filter(|(_, path)| path.is_dir()).collect()
}

/// One curve of the evidence.
type Pick = fn(&Evidence) -> &Vec<[f64; 2]>;

/// Curves, samples and losses of one object.
fn object_blocks(place: &Place, json: &Value, rows: &[Row], object: &str) -> Result<Vec<Block>> {
    let mut found = Vec::new();
    let mut losses = Vec::new();
    for (source, unit) in units(place, json, rows, object) {
        if let Some(evidence) = Evidence::read(&unit)? {
            found.push((source.clone(), unit.clone(), evidence));
        }
        let localizer = unit.join("localizer");
        if localizer.join(crate::training::log::LOG).is_file()
            && let Some(chart) = log_chart(&localizer, "loss", "")?
        {
            losses.extend(chart.series.into_iter().map(|series| Series { name: source.clone(), ..series }));
        }
    }
    let mut blocks = Vec::new();
    let roc = ["false-positive rate", "true-positive rate"];
    let precision = ["recall", "precision"];
    let curves: [(&str, [&str; 2], Pick); 4] = [
        ("pixel ROC", roc, |one| &one.pixel.roc),
        ("pixel precision and recall", precision, |one| &one.pixel.precision_recall),
        ("image ROC", roc, |one| &one.image.roc),
        ("image precision and recall", precision, |one| &one.image.precision_recall),
    ];
    for (what, [x_label, y_label], pick) in curves {
        let series =
            found.iter().map(|(source, _, evidence)| Series { name: source.clone(), points: pick(evidence).iter().map(|&[x, y]| (x, y)).collect() });
        let series: Vec<Series> = series.filter(|series| !series.points.is_empty()).collect();
        if !series.is_empty() {
            let title = format!("{object}: {what}, first seed");
            blocks.push(Block::Svg(title.clone(), Chart { title, x_label: x_label.into(), y_label: y_label.into(), series }.svg()));
        }
    }
    for (source, unit, evidence) in &found {
        blocks.extend(samples(object, source, unit, evidence)?);
    }
    if !losses.is_empty() {
        let title = format!("{object}: training loss of the localisation network");
        let chart = Chart { title: title.clone(), x_label: "step".into(), y_label: "focal loss, running mean".into(), series: losses };
        blocks.push(Block::Svg(title, chart.svg()));
    }
    Ok(blocks)
}

/// Best and worst pictures as one sheet.
fn samples(object: &str, source: &str, unit: &std::path::Path, evidence: &Evidence) -> Result<Option<Block>> {
    if evidence.samples.is_empty() {
        return Ok(None);
    }
    let mut sheet = Sheet::new(SIDE);
    sheet.title(format!("{object}, {source}"));
    sheet.headings(&["picture", "true mask", "scores"]);
    for sample in &evidence.samples {
        let [picture, mask, scores] = Evidence::pictures(unit, sample)?;
        let values: Vec<f32> = scores.pixels().iter().step_by(3).copied().collect();
        let heat = heat_map(&values, scores.width(), scores.height(), -1.0, 1.0);
        sheet.row([picture, mask, heat].map(Cell::Picture).to_vec());
    }
    let words = evidence.samples.iter().map(|one| format!("{} {} ({:.1} %)", one.stem.replace('-', " "), one.defect, 100.0 * one.average_precision));
    let words: Vec<String> = words.collect();
    let description = format!(
        "{object}, trained on {source}: test pictures found best and worst, from the top {}; average precision of their pixels",
        words.join(", ")
    );
    Ok(Some(Block::Picture(sheet.draw().to_png()?, description)))
}
