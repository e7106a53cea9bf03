//! What the generated pairs of each type measure.

use std::path::Path;

use serde::Serialize;

use crate::anomaly::generated_set::Manifest;
use crate::anomaly::learned::{Kind, Learned};
use crate::data::dataset::Dataset;
use crate::error::Result;
use crate::evaluation::alignment::Alignment;
use crate::evaluation::quality::Pair;

/// The mean over a type's pairs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    pub(super) object: String,
    #[serde(rename = "type")]
    pub(super) defect: String,
    pub(super) pairs: usize,
    #[serde(flatten)]
    pub(super) alignment: Alignment,
}

/// The pairs of a type with their numbers, from the folder.
pub(super) fn pairs(generated: &Path, dataset: &Dataset, kind: &Kind) -> Result<Vec<(u64, Pair)>> {
    let manifest = Manifest::open(generated)?;
    manifest.finished(kind).map(|entry| Ok((entry.index, Pair::load(generated, &dataset.root, entry)?))).collect()
}

/// Measures every learned type.
pub(super) fn measure(generated: &Path, dataset: &Dataset, learned: &Learned) -> Result<Vec<Measured>> {
    let mut rows = Vec::new();
    for kind in &learned.metadata.kinds {
        let pairs = pairs(generated, dataset, kind)?;
        let each = pairs.iter().filter_map(|(_, pair)| pair.alignment().transpose()).collect::<Result<Vec<_>>>()?;
        if let Some(alignment) = Alignment::mean(&each) {
            rows.push(Measured { object: kind.object.clone(), defect: kind.defect.clone(), pairs: pairs.len(), alignment });
        }
    }
    Ok(rows)
}
