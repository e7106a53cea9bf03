//! What the engine should take on an H100, from sizes and compiled kernels alone: for machines without a GPU. Predictions are no measurements: caches,
//! bank conflicts and the order of loads are not in them.

mod gradients;
mod kernels;
pub mod plan;
mod products;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::Ceilings;
use super::random_model::Preset;
use super::summary::Row;
use crate::error::Result;
use crate::models::unet::UnetConfig;
use crate::models::vae::VaeConfig;
pub use kernels::Compiled;
use kernels::Model;
use plan::Op;

/// The time of one network for one size and batch.
#[derive(Clone, Debug, Serialize)]
pub struct Network {
    /// Predicted, in milliseconds.
    pub milliseconds: f64,
    /// The least time by the roofline.
    pub floor: f64,
    /// Its kernels, those that take longest first.
    pub kernels: Vec<Row>,
}

/// Predictions for one size and batch.
#[derive(Clone, Debug, Serialize)]
pub struct Prediction {
    /// Height and width of the image in pixels.
    pub size: usize,
    /// Images in one pass.
    pub batch: usize,
    /// One pass of the UNet.
    pub unet: Network,
    /// The UNet and the gradient of the masked loss to its context: a training step, without the text encoder and the spatial encoder.
    pub training: Network,
    /// The autoencoder's encoder.
    pub encoder: Network,
    /// The autoencoder's decoder.
    pub decoder: Network,
    /// Images a second of 50 steps with one pass of the UNet each.
    pub one_pass: f64,
    /// With two passes each: guidance, as in the default preset.
    pub two_passes: f64,
    /// With two passes and the decoder at every step: the paper's Eq. 7.
    pub exact: f64,
}

/// Denoising steps of an image.
const STEPS: f64 = 50.0;

impl Prediction {
    /// For a published model in f16.
    ///
    /// # Errors
    /// When the preset's configs are not usable.
    pub fn new(preset: &Preset, size: usize, batch: usize, compiled: &Compiled) -> Result<Self> {
        let (unet, vae) = (UnetConfig::from_json(preset.unet, preset.name)?, VaeConfig::from_json(preset.vae, preset.name)?);
        let cells = size / vae.downscale();
        let ceilings = Ceilings::h100();
        let model = Model { compiled, ceilings: &ceilings, batch };
        let training = Network::new(&plan::unet_training(&unet, cells, cells, preset.tokens), &model);
        let unet = Network::new(&plan::unet(&unet, cells, cells, preset.tokens), &model);
        let (encoder, decoder) =
            (Network::new(&plan::vae_encoder(&vae, cells, cells), &model), Network::new(&plan::vae_decoder(&vae, cells, cells), &model));
        let rate = |step: f64| 1e3 * batch as f64 / (STEPS * step + encoder.milliseconds + decoder.milliseconds);
        let (one_pass, two_passes) = (rate(unet.milliseconds), rate(2.0 * unet.milliseconds));
        let exact = rate(2.0 * unet.milliseconds + decoder.milliseconds);
        Ok(Self { size, batch, unet, training, encoder, decoder, one_pass, two_passes, exact })
    }
}

impl Network {
    fn new(plan: &[Op], model: &Model) -> Self {
        let mut kernels: Vec<Row> = Vec::new();
        let (mut milliseconds, mut floor) = (0.0, 0.0);
        for op in plan {
            for launch in model.predict(op) {
                milliseconds += launch.milliseconds;
                floor += launch.floor;
                let known = kernels.iter().position(|row| row.name == launch.entry);
                let position = known.unwrap_or_else(|| {
                    kernels.push(Row { name: launch.entry.clone(), ..Row::default() });
                    kernels.len() - 1
                });
                let row = &mut kernels[position];
                (row.calls, row.milliseconds) = (row.calls + 1, row.milliseconds + launch.milliseconds);
                row.roofline = Some(row.roofline.unwrap_or(0.0) + launch.floor);
                if launch.floor > 0.0 {
                    row.gflop += op.operations() * model.batch as f64 / 1e9;
                }
            }
        }
        for row in &mut kernels {
            row.share = row.milliseconds / milliseconds;
            row.roofline = row.roofline.filter(|floor| *floor > 0.0).map(|floor| floor / row.milliseconds);
        }
        kernels.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds));
        Self { milliseconds, floor, kernels }
    }
}
