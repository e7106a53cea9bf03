//! Masks at other sizes, above all as latent cells.

use serde::{Deserialize, Serialize};

use super::Mask;
use crate::data::resample::{Filter, Precision, Resampling, Size, resample};

/// When a cell of a smaller mask is set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellRule {
    /// When any of its pixels is: nothing is lost, thin defects grow by up to a cell. The `default` preset's rule for latent cells.
    Any,
    /// When at least this share of its area is, 0 to 1. A mask that is not empty never becomes empty: then the fullest cell is set.
    Share(f32),
    /// Bilinear without antialias, from 0.5 on: of a block of 8x8 only the middle 2x2 count, and thin defects vanish. The released program's rule.
    Official,
}

impl Mask {
    /// The mask on another grid: `width` x `height` latent cells or pixels, at least 1 each.
    pub fn resized(&self, width: usize, height: usize, rule: CellRule) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        match rule {
            CellRule::Any => {
                let covered = self.covered_shares(width, height);
                Self::from_parts(width, height, covered.into_iter().map(|share| share > 0.0).collect())
            }
            CellRule::Share(least) => self.resized_by_share(width, height, least),
            CellRule::Official => {
                let how = Resampling { filter: Filter::Bilinear, antialias: false, precision: Precision::Float };
                let values = resample(&self.values(), [self.height, self.width], 1, [height, width], how);
                Self::from_parts(width, height, values.into_iter().map(|x| x >= 0.5).collect())
            }
        }
    }

    fn resized_by_share(&self, width: usize, height: usize, least: f32) -> Self {
        let covered = self.covered_shares(width, height);
        // Rounding must not lose a cell that is covered by exactly the share asked for.
        let mut pixels: Vec<bool> = covered.iter().map(|&share| share > 0.0 && share >= least - 1e-5).collect();
        if !pixels.contains(&true) && !self.is_empty() {
            let fullest =
                covered.iter().copied().enumerate().fold((0, 0.0), |best, (index, share)| if share > best.1 { (index, share) } else { best });
            pixels[fullest.0] = true;
        }
        Self::from_parts(width, height, pixels)
    }

    /// How much of each cell's area is set: exactly 0 where nothing is.
    fn covered_shares(&self, width: usize, height: usize) -> Vec<f32> {
        let (columns, rows) = (overlaps(self.width, width), overlaps(self.height, height));
        let mut shares = Vec::with_capacity(width * height);
        for row in &rows {
            for column in &columns {
                let mut sum = 0.0;
                for (y, &weight) in (row.first..).zip(&row.shares) {
                    let line = &self.pixels[y * self.width + column.first..];
                    sum += weight * line.iter().zip(&column.shares).map(|(&set, &share)| if set { share } else { 0.0 }).sum::<f32>();
                }
                shares.push(sum);
            }
        }
        shares
    }

    fn values(&self) -> Vec<f32> {
        self.pixels.iter().map(|&set| f32::from(u8::from(set))).collect()
    }
}

/// `values` `[size]` by Pillow's bicubic in floats, set from 0.5 on.
pub(super) fn half_of_bicubic(values: &[f32], size: Size, width: usize, height: usize) -> Mask {
    let how = Resampling { filter: Filter::Bicubic, antialias: true, precision: Precision::Float };
    let values = if size == [height, width] { values.to_vec() } else { resample(values, size, 1, [height, width], how) };
    Mask::from_parts(width, height, values.into_iter().map(|x| x >= 0.5).collect())
}

/// The pixels under one cell of one axis, and which share of the cell each takes.
struct Overlap {
    first: usize,
    shares: Vec<f32>,
}

fn overlaps(from: usize, to: usize) -> Vec<Overlap> {
    // In units of 1/to of a pixel, so that all borders are whole numbers.
    let overlap = |cell: usize| {
        let (start, end) = (cell * from, (cell + 1) * from);
        let (first, last) = (start / to, (end - 1) / to);
        let shares = (first..=last).map(|pixel| ((pixel + 1) * to).min(end) - (pixel * to).max(start));
        Overlap { first, shares: shares.map(|length| length as f32 / from as f32).collect() }
    };
    (0..to).map(overlap).collect()
}
