//! What the denoising network is asked in training: latents noised at random steps.

use crate::diffusion::Schedule;
use crate::error::Result;
use crate::ops;
use crate::tensor::Tensor;
use crate::tensor::random::Stream;

/// The random streams of consecutive examples of a step, one each: named by (seed, purpose, step, position), so nothing depends on batches.
pub(in crate::anomaly) struct Streams<'a> {
    pub(in crate::anomaly) seed: u64,
    pub(in crate::anomaly) purpose: &'a str,
    pub(in crate::anomaly) step: u64,
    /// Position of the first example within the step.
    pub(in crate::anomaly) first: u64,
    pub(in crate::anomaly) count: u64,
}

impl Streams<'_> {
    /// The streams for one kind of number.
    pub(in crate::anomaly) fn of(&self, what: &str) -> Vec<Stream> {
        let name = format!("{} {what}", self.purpose);
        (self.first..self.first + self.count).map(|position| Stream::new(self.seed, &name, &[self.step, position])).collect()
    }
}

/// A question to the network and its answer.
pub(in crate::anomaly) struct Noised {
    /// z_t.
    pub(in crate::anomaly) latents: Tensor,
    /// t, uniform over the training's time steps.
    pub(in crate::anomaly) timesteps: Tensor,
    /// What the network should say: the noise, or the velocity.
    pub(in crate::anomaly) target: Tensor,
}

impl Noised {
    /// Draws a time step and noise for each of the clean latents `[batch, h, w, channels]`.
    pub(in crate::anomaly) fn draw(schedule: &Schedule, clean: &Tensor, streams: &Streams) -> Result<Self> {
        let noise = ops::normal(&streams.of("noise"), &clean.shape()[1..], clean.device())?;
        let total = schedule.train_timesteps();
        let timesteps: Vec<i32> = streams.of("time step").into_iter().map(|stream| stream.sampler().below(total) as i32).collect();
        let timesteps = Tensor::from_i32(timesteps, &[clean.dim(0)])?;
        Ok(Self { latents: schedule.add_noise(clean, &noise, &timesteps)?, target: schedule.target(clean, &noise, &timesteps)?, timesteps })
    }
}
