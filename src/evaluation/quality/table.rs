//! Outcomes as rows: each type, each object's mean over its types, the mean over objects; as text, CSV and JSON.

use serde_json::{Map, Value, json};

use super::{MEASURES, Numbers, Outcome, Plan};
use crate::evaluation::grid;

/// What stands for the name in rows of averages.
const AVERAGE: &str = "mean";

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The object; `None` in the mean over all objects.
    pub object: Option<String>,
    /// The type; `None` in the mean over an object's types.
    pub defect: Option<String>,
    /// Generated pairs.
    pub pairs: usize,
    /// The numbers.
    pub numbers: Numbers,
}

/// Types in order, each object's mean behind its types where it has several, the mean over objects at the end where there are several.
pub fn rows(outcomes: &[Outcome]) -> Vec<Row> {
    let mut objects: Vec<&str> = outcomes.iter().map(|outcome| outcome.object.as_str()).collect();
    objects.dedup();
    let (mut rows, mut means) = (Vec::new(), Vec::new());
    for object in &objects {
        let types = outcomes.iter().filter(|outcome| outcome.object == *object).map(|outcome| Row {
            object: Some(outcome.object.clone()),
            defect: Some(outcome.defect.clone()),
            pairs: outcome.pairs,
            numbers: outcome.numbers,
        });
        let types: Vec<Row> = types.collect();
        let mean = mean(&types, Some((*object).to_owned()));
        let several = types.len() > 1;
        rows.extend(types);
        if several {
            rows.push(mean.clone());
        }
        means.push(mean);
    }
    if objects.len() > 1 {
        rows.push(mean(&means, None));
    }
    rows
}

/// The mean of each number over the rows that have it.
fn mean(rows: &[Row], object: Option<String>) -> Row {
    let number = |measure: usize| {
        let values: Vec<f64> = rows.iter().filter_map(|row| row.numbers.0[measure]).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Row { object, defect: None, pairs: rows.iter().map(|row| row.pairs).sum(), numbers: Numbers(std::array::from_fn(number)) }
}

/// Headings and cells for people; columns without any number are left out.
pub fn lines(rows: &[Row]) -> Vec<Vec<String>> {
    let measures: Vec<usize> = (0..MEASURES.len()).filter(|&measure| rows.iter().any(|row| row.numbers.0[measure].is_some())).collect();
    let mut lines = vec![["object", "type", "pairs"].map(str::to_owned).to_vec()];
    lines[0].extend(measures.iter().map(|&measure| MEASURES[measure].heading.to_owned()));
    for row in rows {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| AVERAGE.to_owned());
        let mut line = vec![name(&row.object), name(&row.defect), row.pairs.to_string()];
        line.extend(measures.iter().map(|&measure| cell(measure, row.numbers.0[measure])));
        lines.push(line);
    }
    lines
}

/// A number for people.
pub(in crate::evaluation) fn cell(measure: usize, value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if MEASURES[measure].share => format!("{:.1} %", 100.0 * value),
        Some(value) if MEASURES[measure].name == "background_psnr" => format!("{value:.1}"),
        Some(value) => format!("{value:.3}"),
    }
}

/// The table for people.
pub fn text(rows: &[Row]) -> String {
    grid::aligned(&lines(rows), 2)
}

/// All rows with every measure, shares 0 to 1; empty where there is no value.
pub fn csv(rows: &[Row]) -> String {
    let mut lines = vec![["object", "type", "pairs"].map(str::to_owned).to_vec()];
    lines[0].extend(MEASURES.iter().map(|measure| measure.name.to_owned()));
    for row in rows {
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let mut line = vec![name(&row.object), name(&row.defect), row.pairs.to_string()];
        line.extend(row.numbers.0.map(grid::number));
        lines.push(line);
    }
    grid::csv(&lines)
}

/// All rows, the id of each measure's definition and the networks' digests.
pub fn json(rows: &[Row], plan: &Plan) -> Value {
    let named = |values: Vec<Value>| MEASURES.iter().map(|measure| measure.name.to_owned()).zip(values).collect::<Map<_, _>>();
    let row = |row: &Row| {
        let numbers = named(row.numbers.0.iter().map(|number| json!(number)).collect());
        json!({"object": row.object, "type": row.defect, "pairs": row.pairs, "numbers": numbers})
    };
    let protocols = named(plan.protocols().into_iter().map(Value::from).collect());
    json!({"protocols": protocols, "judges": plan.judges.json(), "rows": rows.iter().map(row).collect::<Vec<_>>()})
}

/// The rows of what [`json()`] made; `None` of anything else.
pub fn parse(json: &Value) -> Option<Vec<Row>> {
    let name = |value: &Value| value.as_str().map(str::to_owned);
    let row = |row: &Value| {
        let numbers = row["numbers"].as_object()?;
        let number = |measure: usize| numbers.get(MEASURES[measure].name).and_then(Value::as_f64);
        let pairs = usize::try_from(row["pairs"].as_u64()?).ok()?;
        Some(Row { object: name(&row["object"]), defect: name(&row["type"]), pairs, numbers: Numbers(std::array::from_fn(number)) })
    };
    json["rows"].as_array()?.iter().map(row).collect()
}
