//! Sampling with fewer steps than the training had (Song et al. 2021, "Denoising diffusion implicit models"; diffusers `DDIMScheduler`).

use crate::diffusion::combine::combine;
use crate::diffusion::{Prediction, Schedule, Spacing};
use crate::error::Result;
use crate::invalid_input;
use crate::ops::Update;
use crate::tensor::Tensor;

/// One step of the sampler, from a time step to the one before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The training's time step that the network is asked at.
    pub timestep: i32,
    /// Its cumulative alpha.
    pub alpha: f64,
    /// The cumulative alpha that the step leads to.
    pub previous_alpha: f64,
    prediction: Prediction,
}

/// The `count` steps of a sampler, the noisiest first. METHOD section 7: 200 steps of Stable Diffusion's schedule visit 996, 991, .., 6, 1, and the
/// last one leads to the alpha of time step 0.
///
/// # Errors
/// An input error unless `count` is 1 to the schedule's number of time steps.
pub fn steps(schedule: &Schedule, count: usize) -> Result<Vec<Step>> {
    let total = schedule.train_timesteps();
    if count == 0 || count > total {
        invalid_input!("{count} sampling steps, expected 1 to the {total} that the model was trained with");
    }
    let config = schedule.config();
    let alphas = schedule.alphas_cumprod();
    let last = if config.set_alpha_to_one { 1.0 } else { alphas[0] };
    let step = |index: usize| {
        let timestep = timestep(config.timestep_spacing, index, count, total, config.steps_offset);
        let previous = timestep.checked_sub(total / count);
        let previous_alpha = previous.map_or(last, |previous| alphas[previous]);
        Step { timestep: timestep as i32, alpha: alphas[timestep], previous_alpha, prediction: schedule.prediction() }
    };
    Ok((0..count).rev().map(step).collect())
}

/// The time steps of a sampler's steps: i32 `[steps]`.
pub fn timesteps(steps: &[Step]) -> Result<Tensor> {
    Tensor::from_i32(steps.iter().map(|step| step.timestep).collect::<Vec<_>>(), &[steps.len()])
}

/// The time step of position `index`, counted from the cleanest, among `count` of `total`.
fn timestep(spacing: Spacing, index: usize, count: usize, total: usize, offset: usize) -> usize {
    match spacing {
        // With every step visited, the offset would lead past the end.
        Spacing::Leading => (index * (total / count) + offset).min(total - 1),
        Spacing::Trailing => {
            let from_end = (count - 1 - index) as f64 * total as f64 / count as f64;
            ((total as f64 - from_end).round_ties_even() as usize).saturating_sub(1)
        }
        Spacing::Linspace if count == 1 => 0,
        Spacing::Linspace => (index as f64 * (total - 1) as f64 / (count - 1) as f64).round_ties_even() as usize,
    }
}

impl Step {
    /// The clean latent that the network's `output` at the `noisy` latent implies.
    pub fn clean(&self, output: &Tensor, noisy: &Tensor) -> Result<Tensor> {
        self.prediction.clean(output, noisy, self.alpha)
    }

    /// Standard deviation of the noise that the step adds: 0 for `eta` 0 (deterministic), the ancestral sampler's for 1.
    pub fn deviation(&self, eta: f64) -> f64 {
        let variance = (1.0 - self.previous_alpha) / (1.0 - self.alpha) * (1.0 - self.alpha / self.previous_alpha);
        eta * variance.max(0.0).sqrt()
    }

    /// The weights of [`Step::update`] for the fused op, with classifier-free guidance. Outside of a mask stands what is there, without noise.
    pub fn weights(&self, eta: f64, guidance: f64) -> Update {
        let single = |weights: [f64; 2]| weights.map(|weight| weight as f32);
        Update {
            guidance: guidance as f32,
            clean: single(self.prediction.clean_weights(self.alpha)),
            epsilon: single(self.prediction.epsilon_weights(self.alpha)),
            previous: single([self.previous_alpha.sqrt(), self.direction(eta)]),
            deviation: self.deviation(eta) as f32,
            outside: [1.0, 0.0],
        }
    }

    /// The weight of the noise that stays.
    fn direction(&self, eta: f64) -> f64 {
        (1.0 - self.previous_alpha - self.deviation(eta).powi(2)).max(0.0).sqrt()
    }

    /// The latent one step before: sqrt(a') x0 + sqrt(1 - a' - s²) e + s noise, with s from [`Step::deviation`].
    ///
    /// `noise` is standard normal, of the latent's shape; it is not looked at when `eta` is 0.
    pub fn update(&self, output: &Tensor, noisy: &Tensor, eta: f64, noise: &Tensor) -> Result<Tensor> {
        let clean = self.clean(output, noisy)?;
        let epsilon = self.prediction.epsilon(output, noisy, self.alpha)?;
        let deviation = self.deviation(eta);
        let mean = combine(self.previous_alpha.sqrt(), &clean, self.direction(eta), &epsilon)?;
        if deviation == 0.0 { Ok(mean) } else { combine(1.0, &mean, deviation, noise) }
    }
}
