//! Outcomes as rows: per object, per type and averaged, mean and spread over seeds; as text, CSV and JSON.

use serde_json::{Map, Value, json};

use super::Outcome;
use crate::evaluation::grid;
use crate::evaluation::scores::{METRICS, Scores};

/// What stands for the object in rows of averages.
const AVERAGE: &str = "mean";
/// Metrics of pictures come before this position, those of pixels before the next, then the classifier's.
const GROUPS: [(&str, usize); 3] = [("image", 3), ("pixel", 8), ("class", 9)];

/// One row: a source's numbers on one object or type, or averaged.
#[derive(Clone, Debug)]
pub struct Row {
    /// The source's name.
    pub source: String,
    /// The object; `None` in the mean over all objects.
    pub object: Option<String>,
    /// The type; `None` for all of the object's.
    pub defect: Option<String>,
    /// One entry a seed, in order.
    pub seeds: Vec<Scores>,
}

/// A number over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Mean over the seeds that have a value.
    pub mean: f64,
    /// Standard deviation (divided by count - 1); `None` with fewer than two values.
    pub spread: Option<f64>,
}

impl Row {
    /// A metric over seeds; `None` when no seed has a value.
    pub fn summary(&self, metric: usize) -> Option<Summary> {
        let values: Vec<f64> = self.seeds.iter().filter_map(|scores| scores.0[metric]).collect();
        let mean = mean(&values)?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Summary { mean, spread: (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt()) })
    }

    /// Names, and every metric that has a value: mean, spread and the seeds' values.
    pub fn json(&self) -> Value {
        let metrics: Map<String, Value> = METRICS
            .iter()
            .enumerate()
            .filter_map(|(position, metric)| {
                let summary = self.summary(position)?;
                let values: Vec<Option<f64>> = self.seeds.iter().map(|scores| scores.0[position]).collect();
                Some((metric.name.to_owned(), json!({"mean": summary.mean, "spread": summary.spread, "values": values})))
            })
            .collect();
        json!({"source": self.source, "object": self.object, "type": self.defect, "metrics": metrics})
    }
}

/// The rows of each source: objects in order, each followed by its types, and the mean over objects at the end.
pub fn rows(outcomes: &[Outcome]) -> Vec<Row> {
    let mut rows = Vec::new();
    for source in distinct(outcomes.iter().map(|outcome| &outcome.source)) {
        let own: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.source == source).collect();
        let row = |object: Option<&str>, defect: Option<&str>, seeds| Row {
            source: source.clone(),
            object: object.map(str::to_owned),
            defect: defect.map(str::to_owned),
            seeds,
        };
        let objects = distinct(own.iter().map(|outcome| &outcome.object));
        for object in &objects {
            let own: Vec<&Outcome> = own.iter().copied().filter(|outcome| outcome.object == *object).collect();
            rows.push(row(Some(object), None, own.iter().map(|outcome| outcome.scores.all).collect()));
            for (position, (defect, _)) in own[0].scores.types.iter().enumerate() {
                rows.push(row(Some(object), Some(defect), own.iter().map(|outcome| outcome.scores.types[position].1).collect()));
            }
        }
        if objects.len() > 1 {
            let averages = distinct(own.iter().map(|outcome| &outcome.seed))
                .into_iter()
                .map(|seed| average(&own.iter().filter(|outcome| outcome.seed == seed).map(|outcome| outcome.scores.all).collect::<Vec<_>>()));
            rows.push(row(None, None, averages.collect()));
        }
    }
    rows
}

/// In order of appearance.
fn distinct<'a, T: PartialEq + Clone + 'a>(items: impl Iterator<Item = &'a T>) -> Vec<T> {
    let mut found: Vec<T> = Vec::new();
    for item in items {
        if !found.contains(item) {
            found.push(item.clone());
        }
    }
    found
}

/// Each number's mean over the objects that have a value.
fn average(objects: &[Scores]) -> Scores {
    Scores(std::array::from_fn(|metric| mean(&objects.iter().filter_map(|scores| scores.0[metric]).collect::<Vec<_>>())))
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The table for people.
pub fn text(rows: &[Row], types: bool) -> String {
    grid::aligned(&lines(rows, types), if types { 3 } else { 2 })
}

/// Headings and cells for people, in per cent; without `types` only objects and means. Columns without any number are left out.
pub fn lines(rows: &[Row], types: bool) -> Vec<Vec<String>> {
    let rows: Vec<&Row> = rows.iter().filter(|row| types || row.defect.is_none()).collect();
    let metrics: Vec<usize> = (0..METRICS.len()).filter(|&metric| rows.iter().any(|row| row.summary(metric).is_some())).collect();
    let group = |metric: usize| GROUPS.iter().position(|(_, end)| metric < *end).unwrap_or_default();
    let mut lines: Vec<Vec<String>> = vec![["source", "object", "type"].map(str::to_owned).to_vec()];
    lines[0].extend(metrics.iter().map(|&metric| format!("{} {}", GROUPS[group(metric)].0, METRICS[metric].heading)));
    for row in rows {
        let names = [Some(row.source.as_str()), row.object.as_deref().or(Some(AVERAGE)), row.defect.as_deref()];
        let mut line: Vec<String> = names.iter().map(|name| name.unwrap_or_default().to_owned()).collect();
        line.extend(metrics.iter().map(|&metric| cell(row.summary(metric))));
        lines.push(line);
    }
    if !types {
        lines.iter_mut().for_each(|line| drop(line.remove(2)));
    }
    lines
}

/// "97.3", or "97.3±0.4" over several seeds.
fn cell(summary: Option<Summary>) -> String {
    let Some(Summary { mean, spread }) = summary else { return "-".to_owned() };
    let spread = spread.map_or_else(String::new, |spread| format!("±{:.1}", 100.0 * spread));
    format!("{:.1}{spread}", 100.0 * mean)
}

/// All rows: names, number of seeds, and mean and spread of every metric, 0 to 1; empty where there is no value.
pub fn csv(rows: &[Row]) -> String {
    let mut headings = ["source", "object", "type", "seeds"].map(str::to_owned).to_vec();
    headings.extend(METRICS.iter().flat_map(|metric| [metric.name.to_owned(), format!("{}_spread", metric.name)]));
    let line = |row: &Row| {
        let names = [Some(&row.source), row.object.as_ref(), row.defect.as_ref()].map(|name| name.cloned().unwrap_or_default());
        let mut fields = [&names[..], &[row.seeds.len().to_string()]].concat();
        for summary in (0..METRICS.len()).map(|metric| row.summary(metric)) {
            fields.push(grid::number(summary.map(|summary| summary.mean)));
            fields.push(grid::number(summary.and_then(|summary| summary.spread)));
        }
        fields
    };
    grid::csv(&std::iter::once(headings).chain(rows.iter().map(line)).collect::<Vec<_>>())
}

/// All rows and the id of each metric's definition.
pub fn json(rows: &[Row]) -> Value {
    let protocols: Map<String, Value> = METRICS.iter().map(|metric| (metric.name.to_owned(), metric.protocol.into())).collect();
    json!({"protocols": protocols, "rows": rows.iter().map(Row::json).collect::<Vec<_>>()})
}

/// The rows of what [`json()`] made; `None` of anything else.
pub fn parse(json: &Value) -> Option<Vec<Row>> {
    let name = |value: &Value| value.as_str().map(str::to_owned);
    let row = |row: &Value| {
        let metrics = row["metrics"].as_object()?;
        let seeds = metrics.values().filter_map(|metric| Some(metric["values"].as_array()?.len())).max().unwrap_or(0);
        let value = |metric: usize, seed: usize| metrics.get(METRICS[metric].name)?["values"][seed].as_f64();
        let seeds = (0..seeds).map(|seed| Scores(std::array::from_fn(|metric| value(metric, seed)))).collect();
        Some(Row { source: name(&row["source"])?, object: name(&row["object"]), defect: name(&row["type"]), seeds })
    };
    json["rows"].as_array()?.iter().map(row).collect()
}
