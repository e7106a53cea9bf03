//! Less of the starting noise's coarse part inside the mask.
//!
//! A defect covers few latent cells, and the mean of Gaussian noise over n of them still deviates by 1 / sqrt(n). A sampler with eta 0 never replaces
//! that noise: what is left of its mean at the middle steps is read as the defect's own colour, the more so the less sure the base model is of the
//! embedding's. Without the coarse part the colour comes from the embedding, and the fine part still makes every image another.
//! What it is worth: docs/generation.md.

use crate::data::mask::Mask;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;

/// How far a cell's surroundings reach, in cells: squares of 3 x 3.
const REACH: usize = 1;

/// noise - (1 - `share`) · local mean, where a cell's local mean is that of the noise over the cells of the mask around it; outside of the mask the
/// noise stays what it is.
///
/// # Shapes
/// `noise [batch, h, w, channels]`, one mask of `w` x `h` cells for each sample.
pub(super) fn lessened(noise: &Tensor, masks: &[Mask], share: f64) -> Result<Tensor> {
    if share == 1.0 {
        return Ok(noise.clone());
    }
    let [batch, height, width, channels] = noise.dims()?;
    let fitting = masks.iter().all(|mask| (mask.width(), mask.height()) == (width, height));
    ensure!(masks.len() == batch && fitting, "{} masks for noise of shape {:?}", masks.len(), noise.shape());
    let mut values = noise.to_f32_vec()?;
    for (sample, mask) in values.chunks_exact_mut(height * width * channels).zip(masks) {
        lessen(sample, mask, channels, (1.0 - share) as f32);
    }
    Tensor::from_f32(values, noise.shape())?.to_dtype(noise.dtype())?.to_device(noise.device())
}

fn lessen(sample: &mut [f32], mask: &Mask, channels: usize, factor: f32) {
    let (width, height) = (mask.width(), mask.height());
    let original = sample.to_vec();
    for (position, cell) in sample.chunks_exact_mut(channels).enumerate() {
        let (column, row) = (position % width, position / width);
        if !mask.at(column, row) {
            continue;
        }
        let rows = row.saturating_sub(REACH)..(row + REACH + 1).min(height);
        let around: Vec<usize> = rows
            .flat_map(|row| (column.saturating_sub(REACH)..(column + REACH + 1).min(width)).map(move |column| (column, row)))
            .filter(|&(column, row)| mask.at(column, row))
            .map(|(column, row)| row * width + column)
            .collect();
        for (channel, value) in cell.iter_mut().enumerate() {
            let sum: f32 = around.iter().map(|&other| original[other * channels + channel]).sum();
            *value -= factor * sum / around.len() as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn the_local_mean_is_taken_away_inside_the_mask() {
        let noise = Tensor::from_f32((0..16).map(|value| value as f32).collect::<Vec<_>>(), &[1, 4, 4, 1]).unwrap();
        // The mask is the column 1, rows 1 to 3.
        let mask = Mask::from_fn(4, 4, |column, row| column == 1 && row > 0);
        let found = lessened(&noise, &[mask], 0.0).unwrap().to_f32_vec().unwrap();
        let mut expected: Vec<f32> = (0..16).map(|value| value as f32).collect();
        (expected[5], expected[9], expected[13]) = (5.0 - 7.0, 9.0 - 9.0, 13.0 - 11.0);
        assert_eq!(found, expected);
    }

    #[test]
    fn all_of_it_stays_with_share_one_and_half_of_it_with_one_half() {
        let noise = random("coarse noise", &[2, 8, 6, 4]);
        let masks = [Mask::from_fn(6, 8, |column, row| column + row > 5), Mask::from_fn(6, 8, |column, _| column == 2)];
        let at = |share| lessened(&noise, &masks, share).unwrap().to_f32_vec().unwrap();
        let (none, half, all) = (at(0.0), at(0.5), at(1.0));
        assert_eq!(all, noise.to_f32_vec().unwrap());
        assert!(none.iter().zip(&half).zip(&all).all(|((none, half), all)| (half - 0.5 * (none + all)).abs() < 1e-6));
        assert_ne!(none, all);
    }

    #[test]
    fn masks_of_another_size_are_refused() {
        assert!(lessened(&Tensor::zeros(&[1, 4, 4, 1]), &[Mask::empty(5, 4)], 0.0).is_err());
    }
}
