//! A recording as tables: a row a kernel or op, and a row a layer.

use std::collections::HashMap;

use serde::Serialize;

use super::ceilings::Ceilings;
use super::occupancy::occupancy;
use super::operations::{bytes, operations};
use crate::device::recording::{Detail, Piece};

/// What the pieces of one name took together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// Kernel or op with its element type, or layer.
    pub name: String,
    /// How often.
    pub calls: usize,
    /// How long in all.
    pub milliseconds: f64,
    /// The share of all rows' time.
    pub share: f64,
    /// Operations of its products, in 10^9.
    pub gflop: f64,
    /// Bytes read, in 10^6.
    pub read_megabytes: f64,
    /// Bytes written, in 10^6.
    pub written_megabytes: f64,
    /// The least time by the roofline over the time that it took; none where nothing is known of its work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roofline: Option<f64>,
    /// Share of the multiprocessor's warps that can be there at once, averaged over time; of kernels on a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occupancy: Option<f64>,
}

/// What the rows of a table stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Kernels, or ops and their passes.
    Kernels,
    /// Layers, down to so many parts of their path.
    Layers {
        /// Parts of the path.
        depth: usize,
    },
}

impl Grouping {
    fn name(self, piece: &Piece) -> String {
        match self {
            Self::Kernels => {
                let element = piece.element.map(|element| format!(" {element}")).unwrap_or_default();
                let pass = if piece.pass.is_empty() { String::new() } else { format!(" {}", piece.pass) };
                format!("{}{pass}{element}", piece.name)
            }
            Self::Layers { .. } if piece.layer.is_empty() => "(outside of layers)".to_owned(),
            Self::Layers { depth } => piece.layer.split('.').take(depth).collect::<Vec<_>>().join("."),
        }
    }
}

/// Sums while a row is made.
#[derive(Default)]
struct Sums {
    row: Row,
    floor: f64,
    /// Occupancy times milliseconds, and the milliseconds of pieces that have one.
    occupied: [f64; 2],
}

/// The rows, those that took longest first. `capability` is a GPU's.
pub fn summarise(pieces: &[Piece], grouping: Grouping, ceilings: &Ceilings, capability: Option<u32>) -> Vec<Row> {
    let mut found: HashMap<String, Sums> = HashMap::new();
    for piece in pieces {
        let sums = found.entry(grouping.name(piece)).or_default();
        let (operations, [read, written]) = (operations(piece), bytes(piece));
        let row = &mut sums.row;
        (row.calls, row.milliseconds) = (row.calls + 1, row.milliseconds + piece.milliseconds);
        row.gflop += operations / 1e9;
        row.read_megabytes += read as f64 / 1e6;
        row.written_megabytes += written as f64 / 1e6;
        sums.floor += ceilings.floor(operations, read + written, piece.element);
        if let (Detail::Kernel(kernel), Some(capability)) = (&piece.detail, capability)
            && let Some(share) = occupancy(capability, kernel.threads, kernel.registers, kernel.shared)
        {
            sums.occupied[0] += share * piece.milliseconds;
            sums.occupied[1] += piece.milliseconds;
        }
    }
    let total: f64 = pieces.iter().map(|piece| piece.milliseconds).sum();
    let finish = |(name, Sums { row, floor, occupied })| Row {
        name,
        share: if total > 0.0 { row.milliseconds / total } else { 0.0 },
        roofline: (floor > 0.0 && row.milliseconds > 0.0).then(|| floor / row.milliseconds),
        occupancy: (occupied[1] > 0.0).then(|| occupied[0] / occupied[1]),
        ..row
    };
    let mut rows: Vec<Row> = found.into_iter().map(finish).collect();
    rows.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds).then_with(|| a.name.cmp(&b.name)));
    rows
}

/// The first `most` rows as lines of a table, and what the others are together.
pub fn lines(title: &str, rows: &[Row], most: usize) -> Vec<String> {
    let shown = &rows[..most.min(rows.len())];
    let width = shown.iter().map(|row| row.name.chars().count()).chain([title.len()]).max().unwrap_or(0);
    let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1}", 100.0 * share));
    let mut lines = vec![format!(
        "{title:<width$}  {:>6}  {:>10}  {:>5}  {:>10}  {:>9}  {:>9}  {:>7}  {:>6}",
        "calls", "ms", "%", "GFLOP", "MB read", "MB write", "% roof", "% occ"
    )];
    lines.extend(shown.iter().map(|row| {
        let Row { name, calls, milliseconds, share, gflop, read_megabytes, written_megabytes, roofline, occupancy } = row;
        let (share, roofline, occupancy) = (percent(Some(*share)), percent(*roofline), percent(*occupancy));
        format!(
            "{name:<width$}  {calls:>6}  {milliseconds:>10.3}  {share:>5}  {gflop:>10.3}  {read_megabytes:>9.2}  {written_megabytes:>9.2}  {roofline:>7}  {occupancy:>6}"
        )
    }));
    if rows.len() > shown.len() {
        let rest: f64 = rows[shown.len()..].iter().map(|row| row.milliseconds).sum();
        lines.push(format!("and {} more, {rest:.3} ms together (--top, or --report FILE for all)", rows.len() - shown.len()));
    }
    lines
}
