//! What a report shows of a trained network beside its numbers: its curves, and the pictures that it did best and worst on.
//!
//! ```text
//! <unit>/evidence.json
//! <unit>/samples/best-0-picture.png, best-0-mask.png, best-0-scores.png, …, worst-0-picture.png, …
//! ```

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::picture::Picture;
use crate::error::Result;
use crate::evaluation::average_precision::average_precision;
use crate::evaluation::curve;
use crate::evaluation::ranking::Ranking;
use crate::evaluation::scores::{self, Prediction};
use crate::evaluation::test_set::{TestPicture, TestSet};
use crate::{files, input_error};

/// The file's name.
pub const EVIDENCE: &str = "evidence.json";
/// The pictures' folder.
const SAMPLES: &str = "samples";
/// Best pictures, and as many worst ones.
const MOST: usize = 3;
/// A file may have this many bytes.
const MOST_BYTES: u64 = 4 << 20;

/// Both curves of one ranking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// True-positive rate over false-positive rate.
    pub roc: Vec<[f64; 2]>,
    /// Precision over recall.
    pub precision_recall: Vec<[f64; 2]>,
}

/// A test picture that is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The stem of its files in the folder of samples.
    pub stem: String,
    /// Its type.
    #[serde(rename = "type")]
    pub defect: String,
    /// Average precision of its own pixels.
    pub average_precision: f64,
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Over pictures.
    pub image: Curves,
    /// Over pixels.
    pub pixel: Curves,
    /// The best first, the worst last.
    pub samples: Vec<Sample>,
}

impl Evidence {
    /// Reads a unit's file; `None` without one.
    ///
    /// # Errors
    /// When it is something else (exit code 2).
    pub fn read(unit: &Path) -> Result<Option<Self>> {
        let path = unit.join(EVIDENCE);
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = files::read_limited(&path, MOST_BYTES)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| input_error!("{}: not evidence of this program: {error}", path.display()))
    }

    /// A sample's picture, mask and scores (grey, 0 black to 1 white).
    ///
    /// # Errors
    /// When a file cannot be read (exit code 2).
    pub fn pictures(unit: &Path, sample: &Sample) -> Result<[Picture; 3]> {
        let load = |what: &str| Picture::load(&unit.join(SAMPLES).join(format!("{}-{what}.png", sample.stem)));
        Ok([load("picture")?, load("mask")?, load("scores")?])
    }
}

/// Writes a unit's curves and samples.
pub(super) fn write(unit: &Path, test: &TestSet, predictions: &[Prediction]) -> Result<()> {
    let pairs: Vec<(&TestPicture, &Prediction)> = test.pictures.iter().zip(predictions).collect();
    let curves = |ranking: Ranking| Curves { roc: curve::roc(&ranking), precision_recall: curve::precision_recall(&ranking) };
    let (image, pixel) = (curves(scores::image_ranking(&pairs)?), curves(scores::pixel_ranking(&pairs)?));
    let mut ranked = Vec::new();
    for &(picture, prediction) in &pairs {
        if let Some(found) = average_precision(&Ranking::new(&prediction.pixels, picture.specimen.mask().pixels())?) {
            ranked.push((found, picture, prediction));
        }
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let most = MOST.min(ranked.len() / 2);
    let mut samples = Vec::new();
    let worst = ranked.len() - most..ranked.len();
    for (rank, range) in [("best", 0..most), ("worst", worst)] {
        for (number, &(found, picture, prediction)) in ranked[range].iter().enumerate() {
            let stem = format!("{rank}-{number}");
            save(&unit.join(SAMPLES), &stem, picture, prediction)?;
            let defect = picture.kind.map_or_else(String::new, |kind| test.types[kind].clone());
            samples.push(Sample { stem, defect, average_precision: found });
        }
    }
    files::write_bytes_atomic(&unit.join(EVIDENCE), &serde_json::to_vec(&Evidence { image, pixel, samples })?)
}

fn save(folder: &Path, stem: &str, picture: &TestPicture, prediction: &Prediction) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| input_error!("cannot create {}: {error}", folder.display()))?;
    let mask = picture.specimen.mask();
    let scores = prediction.pixels.iter().flat_map(|&score| [2.0 * score - 1.0; 3]).collect();
    picture.specimen.picture().save(&folder.join(format!("{stem}-picture.png")))?;
    mask.save(&folder.join(format!("{stem}-mask.png")))?;
    Picture::from_parts(mask.width(), mask.height(), scores).save(&folder.join(format!("{stem}-scores.png")))
}
