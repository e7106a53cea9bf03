//! `scheduler/scheduler_config.json`: the noise schedule that a model was trained with. The sampler's class there is of no interest.

use serde::Deserialize;

use crate::diffusion::Prediction;
use crate::error::Result;
use crate::invalid_input;
use crate::models::config::{self, Fixed};

/// How the variance of the added noise grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// The square roots of the betas are evenly spaced: Stable Diffusion.
    ScaledLinear,
    /// The betas are evenly spaced.
    Linear,
}

/// Which of the training's time steps a sampler with fewer visits (Lin et al. 2023, table 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Multiples of the whole ratio, moved up by the offset.
    #[default]
    Leading,
    /// From the last step downwards.
    Trailing,
    /// Evenly from the first to the last.
    Linspace,
}

/// Fields as in diffusers' `DDIMScheduler`. What a config leaves out is as in the released AnomalyDiffusion program.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ScheduleConfig {
    /// Variance of the first step's noise.
    pub beta_start: f64,
    /// Variance of the last step's noise.
    pub beta_end: f64,
    /// How it grows between them.
    pub beta_schedule: BetaSchedule,
    /// Steps of the training.
    #[serde(default = "thousand")]
    pub num_train_timesteps: usize,
    /// What the network predicts.
    #[serde(default)]
    pub prediction_type: Prediction,
    /// Which steps a sampler visits.
    #[serde(default)]
    pub timestep_spacing: Spacing,
    /// Added to the time steps of [`Spacing::Leading`].
    #[serde(default = "one")]
    pub steps_offset: usize,
    /// Whether the last step ends without noise (true) or at the noise of time step 0 (false).
    #[serde(default)]
    pub set_alpha_to_one: bool,
}

fn thousand() -> usize {
    1000
}
fn one() -> usize {
    1
}

/// Settings of other schedulers. Values as JSON.
const FIXED: &[Fixed] = &[
    Fixed { field: "trained_betas", accepted: &[], meaning: "a schedule given as a list is not supported" },
    Fixed { field: "rescale_betas_zero_snr", accepted: &["false"], meaning: "schedules that end in pure noise are not supported" },
    Fixed { field: "clip_sample", accepted: &["false"], meaning: "clipping is for models of pixels; latents have no bounds" },
    Fixed { field: "thresholding", accepted: &["false"], meaning: "thresholding is for models of pixels; latents have no bounds" },
];

/// More training steps than this are taken for damage.
const MOST_TIMESTEPS: usize = 100_000;

impl ScheduleConfig {
    /// Reads and checks a config; `origin` names the file in errors.
    pub fn from_json(text: &str, origin: &str) -> Result<Self> {
        config::refuse_unsupported(text, origin, FIXED)?;
        let config: Self = config::parse(text, origin)?;
        config.check(origin)?;
        Ok(config)
    }

    fn check(&self, origin: &str) -> Result<()> {
        let (start, end) = (self.beta_start, self.beta_end);
        if !(0.0 < start && start <= end && end < 1.0) {
            invalid_input!("{origin}: beta_start is {start} and beta_end is {end}, expected 0 < beta_start <= beta_end < 1");
        }
        if self.num_train_timesteps == 0 || self.num_train_timesteps > MOST_TIMESTEPS {
            invalid_input!("{origin}: num_train_timesteps is {}, expected 1 to {MOST_TIMESTEPS}", self.num_train_timesteps);
        }
        if self.steps_offset >= self.num_train_timesteps {
            invalid_input!("{origin}: steps_offset is {}, expected less than num_train_timesteps", self.steps_offset);
        }
        Ok(())
    }
}

impl Default for ScheduleConfig {
    /// Stable Diffusion 1.x.
    fn default() -> Self {
        Self {
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            num_train_timesteps: thousand(),
            prediction_type: Prediction::Epsilon,
            timestep_spacing: Spacing::Leading,
            steps_offset: one(),
            set_alpha_to_one: false,
        }
    }
}
