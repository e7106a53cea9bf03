//! Mask alignment and background drift: does the picture change where its mask says, and nowhere else? (METHOD section 9)

use serde::Serialize;

use crate::error::{Result, ensure};

/// The definition of the shares and the overlap.
pub const PROTOCOL: &str = "mask-alignment/mean-difference/8-of-255/v1";
/// The definition of the background's figure.
pub const BACKGROUND_PROTOCOL: &str = "background-psnr/outside-mask/99-if-identical/v1";

/// The change of a pixel (mean absolute difference of its channels, in [0, 1]) from which it counts as changed: eight of 255 grey levels.
pub const CHANGE_THRESHOLD: f32 = 8.0 / 255.0;

/// How the change |generated - normal| of one pair, or the mean over several, lies with respect to the mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Alignment {
    /// The share of all change that lies inside the mask, 0 to 1; 1 when nothing changed outside.
    pub change_inside: f64,
    /// The share of the mask's pixels that changed by more than [`CHANGE_THRESHOLD`], 0 to 1.
    pub mask_changed: f64,
    /// Intersection over union of the changed pixels and the mask, 0 to 1.
    pub overlap: f64,
    /// Peak signal-to-noise ratio outside the mask, in dB; [`Alignment::IDENTICAL`] when the background is untouched.
    pub background_psnr: f64,
}

impl Alignment {
    /// The background's PSNR, in dB, where it is identical byte for byte (the true value is infinite, which JSON cannot hold).
    pub const IDENTICAL: f64 = 99.0;

    /// Measures one pair.
    ///
    /// `generated` and `normal` hold RGB triples in [-1, 1], `mask` one entry per pixel.
    ///
    /// # Errors
    /// When the sizes differ or the mask is empty.
    pub fn measure(generated: &[f32], normal: &[f32], mask: &[bool]) -> Result<Self> {
        ensure!(generated.len() == normal.len() && normal.len() == mask.len() * 3, "a pair's picture, normal picture and mask differ in size");
        let area = mask.iter().filter(|&&inside| inside).count();
        ensure!(area > 0, "alignment needs a mask with at least one pixel");
        let (mut inside, mut total) = (0.0, 0.0);
        let (mut hit, mut changed_anywhere) = (0, 0);
        let mut outside_squares = 0.0;
        for ((new, old), &in_mask) in generated.chunks_exact(3).zip(normal.chunks_exact(3)).zip(mask) {
            // Halved: [-1, 1] has twice the width of [0, 1].
            let differences = [0, 1, 2].map(|channel| f64::from(new[channel] - old[channel]) / 2.0);
            let change = differences.iter().map(|difference| difference.abs()).sum::<f64>() / 3.0;
            let changed = change > f64::from(CHANGE_THRESHOLD);
            total += change;
            changed_anywhere += usize::from(changed);
            if in_mask {
                inside += change;
                hit += usize::from(changed);
            } else {
                outside_squares += differences.iter().map(|difference| difference * difference).sum::<f64>();
            }
        }
        let outside_error = outside_squares / (3 * (mask.len() - area).max(1)) as f64;
        Ok(Self {
            change_inside: if total > 0.0 { inside / total } else { 0.0 },
            mask_changed: hit as f64 / area as f64,
            overlap: hit as f64 / (area + changed_anywhere - hit) as f64,
            background_psnr: if outside_error > 0.0 { (-10.0 * outside_error.log10()).min(Self::IDENTICAL) } else { Self::IDENTICAL },
        })
    }

    /// The mean of each figure; `None` of nothing.
    pub fn mean(all: &[Self]) -> Option<Self> {
        let count = all.len() as f64;
        let mean = |pick: fn(&Self) -> f64| all.iter().map(pick).sum::<f64>() / count;
        (!all.is_empty()).then(|| Self {
            change_inside: mean(|one| one.change_inside),
            mask_changed: mean(|one| one.mask_changed),
            overlap: mean(|one| one.overlap),
            background_psnr: mean(|one| one.background_psnr),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_fills_half_the_mask_and_one_pixel_outside() {
        let normal = vec![0.0; 4 * 3];
        let mut generated = normal.clone();
        generated[0..3].fill(1.0); // inside, changed by half of the range
        generated[6..9].fill(0.5); // outside, changed by a quarter
        let found = Alignment::measure(&generated, &normal, &[true, true, false, false]).unwrap();
        assert!((found.change_inside - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.mask_changed, 0.5);
        assert!((found.overlap - 1.0 / 3.0).abs() < 1e-12);
        assert!((found.background_psnr - -10.0 * (0.0625_f64 / 2.0).log10()).abs() < 1e-9);
    }

    #[test]
    fn untouched_and_empty() {
        let picture = vec![0.25; 6];
        let found = Alignment::measure(&picture, &picture, &[true, false]).unwrap();
        assert_eq!((found.change_inside, found.mask_changed, found.background_psnr), (0.0, 0.0, Alignment::IDENTICAL));
        assert!(Alignment::measure(&picture, &picture, &[false, false]).is_err());
        assert_eq!(Alignment::mean(&[]), None);
    }
}
