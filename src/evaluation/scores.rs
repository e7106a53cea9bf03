//! The numbers of one trained network on one test set.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::auroc::{self, auroc};
use super::average_precision::{self, average_precision};
use super::f1_max::{self, f1_max, f1_max_of_21};
use super::ranking::Ranking;
use super::region_overlap::{self, Map, region_overlap};
use super::test_set::{TestPicture, TestSet};
use crate::error::Result;
use crate::evaluation::accuracy;

/// A number that is reported.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its key in JSON and CSV.
    pub name: &'static str,
    /// Its heading in the printed table.
    pub heading: &'static str,
    /// The id of its definition.
    pub protocol: &'static str,
}

/// All numbers, in the order of [`Scores`].
pub const METRICS: [Metric; 9] = [
    Metric { name: "image_auroc", heading: "AUROC", protocol: auroc::PROTOCOL },
    Metric { name: "image_average_precision", heading: "AP", protocol: average_precision::PROTOCOL },
    Metric { name: "image_f1_max", heading: "F1", protocol: f1_max::PROTOCOL },
    Metric { name: "pixel_auroc", heading: "AUROC", protocol: auroc::PROTOCOL },
    Metric { name: "pixel_average_precision", heading: "AP", protocol: average_precision::PROTOCOL },
    Metric { name: "pixel_f1_max", heading: "F1", protocol: f1_max::PROTOCOL },
    Metric { name: "pixel_f1_max_of_21", heading: "F1@21", protocol: f1_max::PROTOCOL_OF_21 },
    Metric { name: "pixel_region_overlap", heading: "PRO", protocol: region_overlap::PROTOCOL },
    Metric { name: "classification_accuracy", heading: "ACC", protocol: accuracy::PROTOCOL },
];

/// Position of the classifier's number.
const ACCURACY: usize = 8;

/// The value of each of [`METRICS`], 0 to 1; `None` where it has no meaning or was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores(pub [Option<f64>; METRICS.len()]);

/// What a localisation network said of a test picture.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The probability of a defect at each pixel, row by row.
    pub pixels: Vec<f32>,
    /// The score of the picture.
    pub image: f32,
}

/// Scores of a whole test set, and of each type alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectScores {
    /// All types together, against the normal pictures.
    pub all: Scores,
    /// Each type's pictures against the normal pictures, in the data set's order.
    pub types: Vec<(String, Scores)>,
}

impl ObjectScores {
    /// Measures predictions, one a test picture; `classes` are a classifier's answers for the pictures with defects, in order.
    ///
    /// # Errors
    /// When the numbers of pictures or pixels do not agree.
    pub fn measure(test: &TestSet, predictions: &[Prediction], classes: Option<&[usize]>) -> Result<Self> {
        let part = |chosen: Option<usize>| -> Result<Scores> {
            let counts = |picture: &TestPicture| picture.kind.is_none() || chosen.is_none() || picture.kind == chosen;
            let pairs: Vec<_> = test.pictures.iter().zip(predictions).filter(|(picture, _)| counts(picture)).collect();
            let mut scores = Scores(detection(&pairs)?);
            if let Some(classes) = classes {
                let kinds = test.pictures.iter().filter_map(|picture| picture.kind);
                let (said, true_kinds): (Vec<usize>, Vec<usize>) =
                    classes.iter().copied().zip(kinds).filter(|(_, kind)| chosen.is_none_or(|chosen| chosen == *kind)).unzip();
                scores.0[ACCURACY] = accuracy::accuracy(&said, &true_kinds)?;
            }
            Ok(scores)
        };
        let types = test.types.iter().enumerate().map(|(kind, name)| Ok((name.clone(), part(Some(kind))?))).collect::<Result<_>>()?;
        Ok(Self { all: part(None)?, types })
    }
}

/// Pictures by their scores.
pub(super) fn image_ranking(pairs: &[(&TestPicture, &Prediction)]) -> Result<Ranking> {
    let scores: Vec<f32> = pairs.iter().map(|(_, prediction)| prediction.image).collect();
    let labels: Vec<bool> = pairs.iter().map(|(picture, _)| picture.kind.is_some()).collect();
    Ranking::new(&scores, &labels)
}

/// Pixels of all pictures by their scores.
pub(super) fn pixel_ranking(pairs: &[(&TestPicture, &Prediction)]) -> Result<Ranking> {
    let scores: Vec<f32> = pairs.iter().flat_map(|(_, prediction)| &prediction.pixels).copied().collect();
    let labels: Vec<bool> = pairs.iter().flat_map(|(picture, _)| picture.specimen.mask().pixels()).copied().collect();
    Ranking::new(&scores, &labels)
}

fn detection(pairs: &[(&TestPicture, &Prediction)]) -> Result<[Option<f64>; METRICS.len()]> {
    let (images, pixels) = (image_ranking(pairs)?, pixel_ranking(pairs)?);
    let maps: Vec<Map> = pairs.iter().map(|(picture, prediction)| Map { scores: &prediction.pixels, mask: picture.specimen.mask() }).collect();
    Ok([
        auroc(&images),
        average_precision(&images),
        f1_max(&images),
        auroc(&pixels),
        average_precision(&pixels),
        f1_max(&pixels),
        f1_max_of_21(&pixels),
        region_overlap(&maps)?,
        None,
    ])
}

/// The window of [`image_score`].
const WINDOW: usize = 21;

/// The largest mean of the scores in a 21x21 window around any pixel; what lies beyond the border counts as 0 (released program,
/// `test-localization.py`).
pub fn image_score(pixels: &[f32], width: usize) -> f32 {
    let height = pixels.len() / width.max(1);
    // Sums over the rectangle from the upper left corner, `[height + 1, width + 1]`.
    let stride = width + 1;
    let mut sums = vec![0.0_f64; stride * (height + 1)];
    for row in 0..height {
        let mut line = 0.0;
        for column in 0..width {
            line += f64::from(pixels[row * width + column]);
            sums[(row + 1) * stride + column + 1] = sums[row * stride + column + 1] + line;
        }
    }
    let reach = WINDOW / 2;
    let window = |row: usize| {
        let (top, bottom) = (row.saturating_sub(reach) * stride, (row + reach + 1).min(height) * stride);
        let columns = (0..width).map(|column| (column.saturating_sub(reach), (column + reach + 1).min(width)));
        columns.map(|(left, right)| sums[bottom + right] - sums[bottom + left] - sums[top + right] + sums[top + left]).fold(0.0, f64::max)
    };
    let largest = (0..height).into_par_iter().map(window).reduce(|| 0.0, f64::max);
    (largest / (WINDOW * WINDOW) as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::random::Sampler;

    #[test]
    fn the_image_score_is_a_padded_mean() {
        let mut sampler = Sampler::new(0, "pixels", &[]);
        let (width, height) = (40, 30);
        let pixels: Vec<f32> = (0..width * height).map(|_| sampler.uniform()).collect();
        let mut expected = 0.0_f64;
        for row in 0..height as i32 {
            for column in 0..width as i32 {
                let mut sum = 0.0;
                for (y, x) in (row - 10..=row + 10).flat_map(|y| (column - 10..=column + 10).map(move |x| (y, x))) {
                    if (0..height as i32).contains(&y) && (0..width as i32).contains(&x) {
                        sum += f64::from(pixels[y as usize * width + x as usize]);
                    }
                }
                expected = expected.max(sum / 441.0);
            }
        }
        assert!((f64::from(image_score(&pixels, width)) - expected).abs() < 1e-6);
        assert_eq!(image_score(&[1.0], 1), 1.0 / 441.0);
    }
}
