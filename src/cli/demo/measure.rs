//! What the generated pairs of each type measure.

use std::path::Path;

use serde::Serialize;

use crate::anomaly::generated_set::{Entry, Manifest};
use crate::anomaly::learned::{Kind, Learned};
use crate::data::dataset::Dataset;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::evaluation::Alignment;

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

/// A generated pair with the picture that it was made from, all of one size.
pub(super) struct Pair {
    pub(super) index: u64,
    pub(super) image: Picture,
    pub(super) mask: Mask,
    pub(super) normal: Picture,
}

/// The pairs of a type, from the folder.
pub(super) fn pairs(generated: &Path, dataset: &Dataset, kind: &Kind) -> Result<Vec<Pair>> {
    Manifest::open(generated)?.finished(kind).map(|entry| pair(generated, dataset, entry)).collect()
}

fn pair(generated: &Path, dataset: &Dataset, entry: &Entry) -> Result<Pair> {
    let image = Picture::load(&generated.join(&entry.image))?;
    let mask = Mask::load(&generated.join(&entry.mask))?;
    // Through bytes, as the image went: what was not touched is then equal, not merely close.
    let normal = Picture::load(&dataset.root.join(&entry.normal))?.resized(image.width(), image.height()).quantized();
    Ok(Pair { index: entry.index, image, mask, normal })
}

/// Measures every learned type.
pub(super) fn measure(generated: &Path, dataset: &Dataset, learned: &Learned) -> Result<Vec<Measured>> {
    let mut rows = Vec::new();
    for kind in &learned.metadata.kinds {
        let pairs = pairs(generated, dataset, kind)?;
        let each =
            pairs.iter().map(|pair| Alignment::measure(pair.image.pixels(), pair.normal.pixels(), pair.mask.pixels())).collect::<Result<Vec<_>>>()?;
        if let Some(alignment) = Alignment::mean(&each) {
            rows.push(Measured { object: kind.object.clone(), defect: kind.defect.clone(), pairs: pairs.len(), alignment });
        }
    }
    Ok(rows)
}
