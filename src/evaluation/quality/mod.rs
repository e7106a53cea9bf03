//! How good generated pairs are, without training anything on them: alignment with their masks, untouched background, and what Inception-v3 and LPIPS
//! say of them where their weights are given.
//!
//! ```text
//! <out>/<object>/<type>.json      a type's numbers; the same command again goes on with the types that have none
//! ```

mod judges;
mod pair;
pub mod table;
mod unit;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::alignment::{self, Alignment};
use super::{inception_score, kernel_distance};
use crate::data::dataset::{Dataset, SplitRule};
use crate::error::Result;
use crate::invalid_input;
use crate::training::checkpoint::Identity;
use crate::training::progress::note;
use crate::training::signals;
use unit::Unit;

pub use judges::{Judges, PerceptualJudge};
pub use pair::{Origins, Pair};

/// A number that is reported.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its key in JSON and CSV.
    pub name: &'static str,
    /// Its heading in the printed table.
    pub heading: &'static str,
    /// Whether it is a share, shown in per cent.
    pub share: bool,
}

/// All numbers, in the order of [`Numbers`].
pub const MEASURES: [Measure; 7] = [
    Measure { name: "change_inside", heading: "change inside", share: true },
    Measure { name: "mask_changed", heading: "mask changed", share: true },
    Measure { name: "overlap", heading: "overlap", share: true },
    Measure { name: "background_psnr", heading: "background dB", share: false },
    Measure { name: "inception_score", heading: "IS", share: false },
    Measure { name: "ic_lpips", heading: "IC-LPIPS", share: false },
    Measure { name: "kernel_distance", heading: "KID", share: false },
];

/// The value of each of [`MEASURES`]; `None` where it has no meaning or was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers(pub [Option<f64>; MEASURES.len()]);

impl Numbers {
    /// Alignment first, then the judges'.
    fn new(alignment: Option<Alignment>, judged: [Option<f64>; 3]) -> Self {
        let of = |pick: fn(&Alignment) -> f64| alignment.as_ref().map(pick);
        let [inception, diversity, distance] = judged;
        Self([
            of(|one| one.change_inside),
            of(|one| one.mask_changed),
            of(|one| one.overlap),
            of(|one| one.background_psnr),
            inception,
            diversity,
            distance,
        ])
    }
}

/// What is measured and how.
#[derive(Debug)]
pub struct Plan {
    /// The networks.
    pub judges: Judges,
    /// Side in pixels that pictures have for LPIPS.
    pub side: usize,
    /// Which real pairs were trained on: centres of IC-LPIPS; KID compares with the rest.
    pub split: SplitRule,
}

impl Plan {
    /// The id of each measure's definition, in order.
    pub fn protocols(&self) -> [String; MEASURES.len()] {
        let alignment = || alignment::PROTOCOL.to_owned();
        [
            alignment(),
            alignment(),
            alignment(),
            alignment::BACKGROUND_PROTOCOL.to_owned(),
            inception_score::PROTOCOL.to_owned(),
            self.judges.diversity_protocol(self.side),
            kernel_distance::PROTOCOL.to_owned(),
        ]
    }
}

/// What was measured of one type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Everything that decides the numbers.
    pub identity: Identity,
    /// The object's name.
    pub object: String,
    /// The type's name.
    #[serde(rename = "type")]
    pub defect: String,
    /// Generated pairs.
    pub pairs: usize,
    /// Those whose normal picture is known, from the manifest: alignment and background are theirs.
    pub aligned: usize,
    /// The numbers.
    pub numbers: Numbers,
}

/// Measures every type of the generated set that `out` has no numbers of yet.
///
/// # Errors
/// Unreadable files, a type that the data set lacks, numbers of other settings in `out` (exit code 2); [`crate::error::Interrupted`] after a signal.
pub fn measure(dataset: &Dataset, generated: &Dataset, plan: &Plan, out: &Path) -> Result<Vec<Outcome>> {
    let origins = Origins::read(&generated.root)?;
    if origins.is_empty() {
        note(&format!(
            "{} has no manifest.jsonl, which says what normal picture each pair was made from: no alignment, no background",
            generated.root.display()
        ));
    }
    let mut outcomes = Vec::new();
    for (object, defect) in generated.types() {
        signals::check()?;
        let real = dataset.object(&object.name)?.defect_type(&defect.name)?;
        let unit = Unit::new(plan, dataset, generated, &origins, (&object.name, defect, real), out)?;
        outcomes.push(match unit.finished()? {
            Some(outcome) => outcome,
            None => unit.run()?,
        });
    }
    if outcomes.is_empty() {
        invalid_input!("{} holds no generated pair; expected <object>/test/<type>/* and <object>/ground_truth/<type>/*", generated.root.display());
    }
    Ok(outcomes)
}
