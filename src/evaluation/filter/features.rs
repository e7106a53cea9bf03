//! What a defect looks like to the base model's autoencoder, as a few numbers.

use crate::anomaly::latents;
use crate::anomaly::presets::LatentDraw;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::data::rectangle::Rectangle;
use crate::error::Result;
use crate::models::base::BaseModel;
use crate::tensor::random::Stream;

/// Latent cells a side of the part that is looked at.
const CELLS: usize = 8;

/// Mean and standard deviation of each latent channel over the mask's surroundings: its bounding box, widened to a square that is half as large again,
/// at the size of 8 x 8 cells. Where the defect lies does not matter; its colours and its texture do.
pub(super) fn of(picture: &Picture, mask: &Mask, base: &BaseModel) -> Result<Vec<f32>> {
    let side = CELLS * base.vae.downscale();
    let part = picture.cropped(surroundings(mask)).resized(side, side);
    let latent = latents::encode(&base.vae, &[&part], LatentDraw::Mode, &[Stream::new(0, "filter", &[])])?;
    let channels = latent.dim(3);
    let elements = latent.to_f32_vec()?;
    let count = (elements.len() / channels) as f32;
    let channel = |channel: usize| elements.iter().skip(channel).step_by(channels);
    let mut found = Vec::with_capacity(2 * channels);
    for index in 0..channels {
        let mean = channel(index).sum::<f32>() / count;
        let variance = channel(index).map(|x| (x - mean).powi(2)).sum::<f32>() / count;
        found.extend([mean, variance.sqrt()]);
    }
    Ok(found)
}

/// The Euclidean distance.
pub(super) fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt()
}

/// A square around the mask, as far as the picture reaches.
fn surroundings(mask: &Mask) -> Rectangle {
    let all = Rectangle { left: 0, top: 0, width: mask.width(), height: mask.height() };
    let Some(defect) = mask.bounding_box() else { return all };
    let side = (defect.width.max(defect.height) * 3).div_ceil(2).max(8);
    let (width, height) = (side.min(mask.width()), side.min(mask.height()));
    let start = |first: usize, extent: usize, part: usize, whole: usize| (first + extent / 2).saturating_sub(part / 2).min(whole - part);
    Rectangle {
        left: start(defect.left, defect.width, width, mask.width()),
        top: start(defect.top, defect.height, height, mask.height()),
        width,
        height,
    }
}
