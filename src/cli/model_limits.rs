//! What a base model allows, known from its configs before its weights are read.

use std::path::Path;

use super::numbers::MOST_SIDE;
use crate::diffusion::{Schedule, ddim};
use crate::error::{Context, Result};
use crate::invalid_input;
use crate::models::base::{BaseModel, Outline};

/// The sizes and steps that flags may ask of a base model.
pub(super) struct ModelLimits {
    resolution: usize,
    cell: usize,
    schedule: Schedule,
}

impl ModelLimits {
    /// Of the model in a folder or file; without either, of the embedded one.
    ///
    /// # Errors
    /// When it is another kind of model, a file is missing, or a config or its noise schedule is not usable (exit code 2).
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let Outline { resolution, cell, scheduler_config } = BaseModel::read_outline(path)?;
        Ok(Self { resolution, cell, schedule: Schedule::from_json(&scheduler_config.text, &scheduler_config.origin)? })
    }

    /// The side of the images, a whole number of latent cells: the one that `--resolution` asks for, or what the model was made for.
    pub(super) fn resolution(&self, asked: Option<usize>) -> Result<usize> {
        let (side, cell) = (asked.unwrap_or(self.resolution), self.cell);
        if side == 0 || !side.is_multiple_of(cell) || side > MOST_SIDE {
            invalid_input!("--resolution {side}: expected a multiple of {cell} (the autoencoder's latent cell) up to {MOST_SIDE}");
        }
        Ok(side)
    }

    /// Refuses more denoising steps than the model was trained with; `flag` sets them.
    pub(super) fn check_denoising(&self, flag: &'static str, steps: usize) -> Result<()> {
        ddim::steps(&self.schedule, steps).map(drop).context(flag)
    }
}
