//! Which generated pairs failed: scores with documented limits. Nothing is deleted; what to keep is a list.
//!
//! A pair is dropped when its defect hardly shows (too little of the mask changed), when its background drifted (PSNR outside the mask), or when its
//! defect is unlike every real one of the type (distance to the nearest real training defect, far above that of the type's other pairs).

mod features;
mod lists;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::anomaly::generated_set::{Entry, read_entries};
use crate::anomaly::learned::Kind;
use crate::data::dataset::{Dataset, Pair, SplitRule};
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::Result;
use crate::evaluation::quality::Pair as GeneratedPair;
use crate::invalid_input;
use crate::models::base::BaseModel;

pub use lists::{DROP, KEEP, SCORES, write};

/// What a pair has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Least share of the mask that changed by more than [`crate::evaluation::alignment::CHANGE_THRESHOLD`], 0 to 1.
    pub least_change: f64,
    /// Least PSNR outside the mask, in dB.
    pub least_psnr: f64,
    /// Largest distance to the nearest real defect, in multiples of the median over the type's pairs.
    pub most_distance: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { least_change: 0.1, least_psnr: 20.0, most_distance: 3.0 }
    }
}

impl Limits {
    /// Refuses limits that make no sense.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.least_change) {
            invalid_input!("--least-change {}: expected 0 to 1", self.least_change);
        }
        if !self.least_psnr.is_finite() {
            invalid_input!("--least-psnr {}: expected a number of decibels", self.least_psnr);
        }
        if self.most_distance.is_nan() || self.most_distance < 1.0 {
            invalid_input!("--most-distance {}: expected 1 or more", self.most_distance);
        }
        Ok(())
    }
}

/// Why a pair is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Too little of the mask changed.
    Change,
    /// The background drifted.
    Background,
    /// The defect is unlike the real ones.
    Distance,
}

impl Reason {
    /// As lists and tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Background => "background",
            Self::Distance => "distance",
        }
    }
}

/// A pair's scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The image, relative to the generated set's folder.
    pub image: String,
    /// The object's name.
    pub object: String,
    /// The type's name.
    #[serde(rename = "type")]
    pub defect: String,
    /// Number of the pair within its type.
    pub index: u64,
    /// The share of the mask that changed.
    pub mask_changed: f64,
    /// PSNR outside the mask, in dB.
    pub background_psnr: f64,
    /// Distance to the nearest real training defect.
    pub distance: f64,
    /// The same over the median of the type's pairs; 1 where that is 0.
    pub relative_distance: f64,
    /// Why it is dropped; empty to keep it.
    pub reasons: Vec<Reason>,
}

impl Score {
    /// Whether the pair is worth keeping.
    pub fn is_kept(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Scores all pairs of a generated set, type by type in the order of names, then by number. `progress` is called after each pair and may end the work.
///
/// # Errors
/// When there is no pair, a file cannot be read, a path leads out of its folder, a mask is empty or does not fit, or the data set lacks an object or type (exit code 2).
pub fn score(
    generated: &Path,
    dataset: &Dataset,
    base: &BaseModel,
    split: SplitRule,
    limits: &Limits,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Vec<Score>> {
    limits.check()?;
    let mut kinds: BTreeMap<Kind, BTreeMap<u64, Entry>> = BTreeMap::new();
    let entries = read_entries(generated)?;
    let total = entries.len();
    for entry in entries {
        kinds.entry(entry.kind()).or_default().insert(entry.index, entry);
    }
    if kinds.is_empty() {
        invalid_input!("{}: no generated pair is listed; expected a folder that `anodiff generate --out` filled", generated.display());
    }
    let mut scores = Vec::with_capacity(total);
    for (kind, entries) in &kinds {
        let real = real_defects(dataset, kind, split, base)?;
        let first = scores.len();
        for entry in entries.values() {
            scores.push(score_one(generated, dataset, base, entry, &real)?);
            progress(scores.len(), total)?;
        }
        judge(&mut scores[first..], limits);
    }
    Ok(scores)
}

/// What the real training defects of a type look like.
fn real_defects(dataset: &Dataset, kind: &Kind, split: SplitRule, base: &BaseModel) -> Result<Vec<Vec<f32>>> {
    let pairs = dataset.object(&kind.object)?.defect_type(&kind.defect)?.training_pairs(split);
    let look = |pair: &Pair| -> Result<Vec<f32>> {
        let (picture, mask) = (Picture::load(&pair.image)?, Mask::load(&pair.mask)?);
        if mask.is_empty() || (picture.width(), picture.height()) != (mask.width(), mask.height()) {
            invalid_input!("{}: expected a mask of the picture's size with at least one pixel set", pair.mask.display());
        }
        features::of(&picture, &mask, base)
    };
    pairs.iter().map(look).collect()
}

fn score_one(generated: &Path, dataset: &Dataset, base: &BaseModel, entry: &Entry, real: &[Vec<f32>]) -> Result<Score> {
    let pair = GeneratedPair::load(generated, &dataset.root, entry)?;
    let Some(alignment) = pair.alignment()? else {
        invalid_input!(
            "{}: no pixel of the mask is set; expected where the defect is: generate the pair again",
            generated.join(&entry.mask).display()
        );
    };
    let own = features::of(&pair.image, &pair.mask, base)?;
    Ok(Score {
        image: entry.image.clone(),
        object: entry.object.clone(),
        defect: entry.defect.clone(),
        index: entry.index,
        mask_changed: alignment.mask_changed,
        background_psnr: alignment.background_psnr,
        distance: real.iter().map(|real| features::distance(&own, real)).fold(f64::INFINITY, f64::min),
        relative_distance: 1.0,
        reasons: Vec::new(),
    })
}

/// Holds the pairs of one type to the limits.
fn judge(scores: &mut [Score], limits: &Limits) {
    let mut distances: Vec<f64> = scores.iter().map(|score| score.distance).collect();
    distances.sort_by(f64::total_cmp);
    let median = distances.get(distances.len() / 2).copied().unwrap_or(0.0);
    for score in scores {
        score.relative_distance = if median > 0.0 && median.is_finite() { score.distance / median } else { 1.0 };
        let failed = [
            (score.mask_changed < limits.least_change, Reason::Change),
            (score.background_psnr < limits.least_psnr, Reason::Background),
            (score.relative_distance > limits.most_distance, Reason::Distance),
        ];
        score.reasons = failed.into_iter().filter_map(|(failed, reason)| failed.then_some(reason)).collect();
    }
}
