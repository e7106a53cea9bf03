//! How much signal and noise a latent holds at each time step (METHOD section 1; Ho et al. 2020).

use serde::Deserialize;

use crate::device::Device;
use crate::diffusion::ScheduleConfig;
use crate::diffusion::combine::{combine, combine_samples};
use crate::diffusion::config::BetaSchedule;
use crate::error::{Result, anyhow};
use crate::models::base::BaseModel;
use crate::tensor::Tensor;

/// What the network predicts from a noisy latent sqrt(a) x0 + sqrt(1-a) e.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Prediction {
    /// The noise e.
    #[default]
    #[serde(rename = "epsilon")]
    Epsilon,
    /// The velocity sqrt(a) e - sqrt(1-a) x0 (Salimans and Ho 2022).
    #[serde(rename = "v_prediction")]
    Velocity,
}

impl Prediction {
    /// The weights of the noisy latent and of the network's output in the clean latent; `alpha` is the time step's cumulative alpha.
    pub fn clean_weights(self, alpha: f64) -> [f64; 2] {
        let (signal, noise) = (alpha.sqrt(), (1.0 - alpha).sqrt());
        match self {
            Self::Epsilon => [1.0 / signal, -noise / signal],
            Self::Velocity => [signal, -noise],
        }
    }

    /// The weights of the noisy latent and of the network's output in the noise.
    pub fn epsilon_weights(self, alpha: f64) -> [f64; 2] {
        match self {
            Self::Epsilon => [0.0, 1.0],
            Self::Velocity => [(1.0 - alpha).sqrt(), alpha.sqrt()],
        }
    }

    /// The clean latent that the network's `output` implies at a `noisy` latent.
    pub fn clean(self, output: &Tensor, noisy: &Tensor, alpha: f64) -> Result<Tensor> {
        let [of_noisy, of_output] = self.clean_weights(alpha);
        combine(of_noisy, noisy, of_output, output)
    }

    /// The noise that the network's `output` implies; see [`Prediction::clean`].
    pub fn epsilon(self, output: &Tensor, noisy: &Tensor, alpha: f64) -> Result<Tensor> {
        match self {
            Self::Epsilon => Ok(output.clone()),
            Self::Velocity => {
                let [of_noisy, of_output] = self.epsilon_weights(alpha);
                combine(of_output, output, of_noisy, noisy)
            }
        }
    }
}

/// The noise schedule of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    config: ScheduleConfig,
    alphas_cumprod: Vec<f64>,
}

impl Schedule {
    /// The schedule of a config.
    pub fn new(config: ScheduleConfig) -> Self {
        let count = config.num_train_timesteps;
        let spaced = |start: f64, end: f64, step: usize| start + (end - start) * step as f64 / (count - 1).max(1) as f64;
        let beta = |step: usize| match config.beta_schedule {
            BetaSchedule::ScaledLinear => spaced(config.beta_start.sqrt(), config.beta_end.sqrt(), step).powi(2),
            BetaSchedule::Linear => spaced(config.beta_start, config.beta_end, step),
        };
        let mut product = 1.0;
        let alphas_cumprod = (0..count)
            .map(|step| {
                product *= 1.0 - beta(step);
                product
            })
            .collect();
        Self { config, alphas_cumprod }
    }

    /// The schedule of a `scheduler_config.json`; `origin` names the file in errors.
    pub fn from_json(text: &str, origin: &str) -> Result<Self> {
        Ok(Self::new(ScheduleConfig::from_json(text, origin)?))
    }

    /// The schedule that a base model was trained with.
    pub fn of(base: &BaseModel) -> Result<Self> {
        Self::from_json(&base.scheduler_config.text, &base.scheduler_config.origin)
    }

    /// The config that it was made from.
    pub fn config(&self) -> &ScheduleConfig {
        &self.config
    }

    /// What the network predicts.
    pub fn prediction(&self) -> Prediction {
        self.config.prediction_type
    }

    /// Steps of the training, T: time steps are 0 to T - 1.
    pub fn train_timesteps(&self) -> usize {
        self.alphas_cumprod.len()
    }

    /// For each time step the share of the clean latent's variance that is left, falling from almost 1 to almost 0.
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// The cumulative alpha of one time step.
    ///
    /// # Errors
    /// When the time step is not one of the training's.
    pub fn alpha(&self, timestep: i32) -> Result<f64> {
        let found = usize::try_from(timestep).ok().and_then(|step| self.alphas_cumprod.get(step));
        found.copied().ok_or_else(|| anyhow!("time step {timestep} is outside the schedule's 0 to {}", self.train_timesteps() - 1))
    }

    /// sqrt(a) x0 + sqrt(1-a) noise, each sample at its own time step.
    ///
    /// # Shapes
    /// `clean`, `noise [batch, ..]`, i32 `timesteps [batch]` -> as `clean`.
    pub fn add_noise(&self, clean: &Tensor, noise: &Tensor, timesteps: &Tensor) -> Result<Tensor> {
        combine_samples(&self.weights(timesteps)?, clean, noise)
    }

    /// What the network should predict at [`Schedule::add_noise`] of the same arguments: the noise or the velocity.
    pub fn target(&self, clean: &Tensor, noise: &Tensor, timesteps: &Tensor) -> Result<Tensor> {
        match self.prediction() {
            Prediction::Epsilon => Ok(noise.clone()),
            Prediction::Velocity => {
                let weights: Vec<_> = self.weights(timesteps)?.into_iter().map(|(signal, noise)| (signal, -noise)).collect();
                combine_samples(&weights, noise, clean)
            }
        }
    }

    /// sqrt(a) and sqrt(1-a) of each sample.
    fn weights(&self, timesteps: &Tensor) -> Result<Vec<(f64, f64)>> {
        let weigh = |&timestep: &i32| self.alpha(timestep).map(|alpha| (alpha.sqrt(), (1.0 - alpha).sqrt()));
        timesteps.to_device(Device::Cpu)?.i32s()?.iter().map(weigh).collect()
    }
}

impl Default for Schedule {
    /// Stable Diffusion 1.x.
    fn default() -> Self {
        Self::new(ScheduleConfig::default())
    }
}
