//! Blended diffusion (METHOD section 7; paper Eq. 1): a defect is denoised inside the mask while the normal image, noised to the same step, stands
//! outside.

mod paste;
mod streams;
mod weights;

#[cfg(test)]
mod tests;

use crate::anomaly::conditioning::{Conditioner, Context, Sample};
use crate::anomaly::latents;
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::presets::{BatchNormPolicy, GenerationPreset};
use crate::anomaly::reweighting::{Estimate, Mode};
use crate::autograd::Var;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::diffusion::ddim::{self, Step};
use crate::diffusion::{Schedule, guide};
use crate::error::{Error, Interrupted, Result, bail, ensure};
use crate::models::base::BaseModel;
use crate::models::unet::AttentionWeights;
use crate::tensor::Tensor;

pub use paste::paste;
pub use streams::ImageStreams;

/// One image to generate. Its pictures have the sides of the run's resolution.
#[derive(Clone, Debug)]
pub struct Job {
    /// The normal image y.
    pub normal: Picture,
    /// The mask m, of the image's size, not empty.
    pub mask: Mask,
    /// e_s of the mask, `[n, width]`; see [`Generator::embed`].
    pub spatial: Tensor,
    /// Which prompt template.
    pub template: usize,
    /// Number of the image within its type: with the seed it names all of the image's random numbers.
    pub index: u64,
}

/// A finished image.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The image.
    pub image: Picture,
    /// What was seen on the way; empty unless asked for.
    pub trace: Vec<Glimpse>,
}

/// One step on the way, for a look at it.
#[derive(Clone, Debug)]
pub struct Glimpse {
    /// The training's time step.
    pub timestep: i32,
    /// The weight map, `[h, w]` latent cells, where attention was re-weighted.
    pub weights: Option<Tensor>,
    /// The estimate of the finished image at this step.
    pub estimate: Picture,
}

/// What stays the same over the steps of one batch.
struct Batch {
    /// `[batch, height, width, 3]`.
    pictures: Tensor,
    pixel_masks: Vec<Mask>,
    /// Of the latent's size.
    masks: Vec<Mask>,
    /// z0(y), scaled: `[batch, h, w, channels]`.
    normal: Tensor,
    streams: Vec<ImageStreams>,
    context: Context,
    /// `[batch, length]`.
    columns: Tensor,
    unconditional: Option<Var>,
}

/// Generates images of one learned type.
pub struct Generator<'a> {
    base: &'a BaseModel,
    learned: &'a Learned,
    conditioner: Conditioner<'a>,
    schedule: Schedule,
    settings: GenerationPreset,
    kind: Kind,
    position: usize,
    seed: u64,
    steps: Vec<Step>,
}

impl<'a> Generator<'a> {
    /// Prepares prompts and steps.
    ///
    /// # Errors
    /// When the type was not learned or a setting cannot work (exit code 2).
    pub fn new(base: &'a BaseModel, learned: &'a Learned, kind: Kind, settings: GenerationPreset, seed: u64) -> Result<Self> {
        let preset = &learned.metadata.preset;
        let rows = preset.anomaly_tokens + preset.spatial_tokens;
        let conditioner = Conditioner::new(&base.text_encoder, &base.tokenizer, &learned.metadata.templates, preset.conditioning, rows)?;
        let schedule = Schedule::from_json(&base.scheduler_config.text, &base.scheduler_config.origin)?;
        let steps = ddim::steps(&schedule, settings.steps)?;
        let position = learned.position(&kind)?;
        Ok(Self { base, learned, conditioner, schedule, settings, kind, position, seed, steps })
    }

    /// e_s of masks, `[n, width]` each. Under [`BatchNormPolicy::Always`] they share statistics: give one whole group then.
    pub fn embed(&self, masks: &[&Mask]) -> Result<Vec<Tensor>> {
        let metadata = &self.learned.metadata;
        let size = metadata.encoder.mask_size();
        let resized: Vec<Mask> = masks.iter().map(|mask| mask.resized(size, size, metadata.preset.cells)).collect();
        let together = metadata.preset.batch_norm == BatchNormPolicy::Always;
        let masks = Mask::stack(&resized.iter().collect::<Vec<_>>())?;
        let tokens = self.learned.keeping_statistics(|| self.learned.encoder().forward(&masks, together))?;
        let [_, rows, width] = tokens.dims()?;
        tokens.f32s()?.chunks(rows * width).map(|sample| Tensor::from_f32(sample.to_vec(), &[rows, width])).collect()
    }

    /// Generates a batch. Each image depends on its own job only, bit by bit.
    ///
    /// `glimpses` is how many steps on the way are decoded for a look, evenly spread; 0 for none. `stop` is asked before every step and ends the batch
    /// with [`Interrupted`] when it names a signal.
    pub fn generate(&self, jobs: &[Job], glimpses: usize, stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Generated>> {
        let batch = self.prepare(jobs)?;
        let mut latent = self.noise(&batch, |streams| streams.once("initial noise"))?;
        let mut estimate: Option<Tensor> = None;
        let mut traces = vec![Vec::new(); jobs.len()];
        for (number, step) in self.steps.iter().enumerate() {
            if let Some(signal) = stop() {
                return Err(Error::new(Interrupted { signal }));
            }
            let masks = weights::blending_masks(&batch, self.settings.reweighting.mode, step.timestep, self.steps.len());
            let early = self.early_weights(&batch, &latent, estimate.as_ref(), &masks)?;
            latent = self.blend(&batch, &latent, &masks, step)?;
            let map = match early {
                Some(map) => Some(map),
                None => self.late_weights(&batch, &latent, step)?,
            };
            let attention = map.clone().map(|map| weights::attention(self.settings.reweighting.mode, &batch.columns, map));
            let output = self.predict(&batch, &latent, step, attention.as_ref())?;
            let clean = step.clean(&output, &latent)?;
            let noise = self.noise(&batch, |streams| streams.at("step noise", step.timestep))?;
            latent = step.update(&output, &latent, self.settings.eta, &noise)?;
            check_finite(&latent, step.timestep)?;
            if is_glimpse(number, self.steps.len(), glimpses) {
                self.look(&mut traces, step.timestep, &clean, map.as_ref())?;
            }
            estimate = Some(clean);
        }
        self.finish(jobs, &batch, &latent, traces)
    }

    fn prepare(&self, jobs: &[Job]) -> Result<Batch> {
        ensure!(!jobs.is_empty(), "a batch needs at least one image");
        let streams: Vec<ImageStreams> = jobs.iter().map(|job| ImageStreams::new(self.seed, &self.kind, job.index)).collect();
        let pictures: Vec<&Picture> = jobs.iter().map(|job| &job.normal).collect();
        let draws: Vec<_> = streams.iter().map(|streams| streams.once("normal latent")).collect();
        let normal = latents::encode(&self.base.vae, &pictures, self.settings.latent, &draws)?;
        let [_, height, width, _] = normal.dims()?;
        let masks = jobs.iter().map(|job| job.mask.resized(width, height, self.learned.metadata.preset.cells)).collect();
        let anomaly = Var::constant(self.learned.anomaly(self.position).value());
        let samples: Vec<Sample> = jobs.iter().map(|job| Sample { template: job.template, anomaly: anomaly.clone() }).collect();
        let spatial: Vec<f32> = jobs.iter().map(|job| job.spatial.to_f32_vec()).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        let [rows, channels] = jobs[0].spatial.dims()?;
        let spatial = Var::constant(Tensor::from_f32(spatial, &[jobs.len(), rows, channels])?);
        let context = self.conditioner.context(&samples, &spatial)?;
        let columns = context.columns(self.settings.reweighting.mode.columns())?;
        let guided = self.settings.guidance != 1.0;
        let unconditional = if guided { Some(self.conditioner.plain("", jobs.len())?) } else { None };
        let pixel_masks = jobs.iter().map(|job| job.mask.clone()).collect();
        Ok(Batch { pictures: Picture::stack(&pictures)?, pixel_masks, masks, normal, streams, context, columns, unconditional })
    }

    /// Standard normal numbers of the latent's shape, each image's from its own stream.
    fn noise(&self, batch: &Batch, stream: impl Fn(&ImageStreams) -> crate::tensor::random::Stream) -> Result<Tensor> {
        latents::normal(&batch.streams.iter().map(stream).collect::<Vec<_>>(), &batch.normal.shape()[1..])
    }

    /// Weights that are known before the latent is blended.
    fn early_weights(&self, batch: &Batch, latent: &Tensor, estimate: Option<&Tensor>, masks: &[Mask]) -> Result<Option<Tensor>> {
        let reweighting = self.settings.reweighting;
        match (reweighting.mode, reweighting.estimate, estimate) {
            (Mode::Official, _, _) => Ok(Some(weights::official(latent, &batch.normal, masks)?)),
            (_, Estimate::Previous, Some(estimate)) => self.estimated_weights(batch, estimate),
            _ => Ok(None),
        }
    }

    /// Weights of an un-weighted prediction at this very step.
    fn late_weights(&self, batch: &Batch, latent: &Tensor, step: &Step) -> Result<Option<Tensor>> {
        let reweighting = self.settings.reweighting;
        if reweighting.estimate == Estimate::Previous || matches!(reweighting.mode, Mode::Off | Mode::Official) {
            return Ok(None);
        }
        let output = self.predict(batch, latent, step, None)?;
        self.estimated_weights(batch, &step.clean(&output, latent)?)
    }

    fn estimated_weights(&self, batch: &Batch, estimate: &Tensor) -> Result<Option<Tensor>> {
        Ok(match self.settings.reweighting.mode {
            Mode::Paper => Some(weights::paper(&self.base.vae, estimate, batch)?),
            Mode::Default => Some(weights::balanced(estimate, &batch.normal, &batch.masks)?),
            Mode::Off | Mode::Official => None,
        })
    }

    /// z <- M z + (1 - M) (sqrt(a) z0(y) + sqrt(1 - a) fresh noise).
    fn blend(&self, batch: &Batch, latent: &Tensor, masks: &[Mask], step: &Step) -> Result<Tensor> {
        let noise = self.noise(batch, |streams| streams.at("background noise", step.timestep))?;
        let timesteps = Tensor::from_i32(vec![step.timestep; masks.len()], &[masks.len()])?;
        let background = self.schedule.add_noise(&batch.normal, &noise, &timesteps)?;
        latents::choose(&Mask::stack(&masks.iter().collect::<Vec<_>>())?, latent, &background)
    }

    /// The network's output, guided when asked for; the weights act on the conditional half alone.
    fn predict(&self, batch: &Batch, latent: &Tensor, step: &Step, attention: Option<&AttentionWeights>) -> Result<Tensor> {
        let sample = Var::constant(latent.clone());
        let timesteps = Tensor::from_i32(vec![step.timestep; latent.dim(0)], &[latent.dim(0)])?;
        let output = self.base.unet.forward(&sample, &timesteps, &batch.context.tokens, attention)?.into_tensor();
        match &batch.unconditional {
            None => Ok(output),
            Some(unconditional) => {
                let plain = self.base.unet.forward(&sample, &timesteps, unconditional, None)?.into_tensor();
                guide(&plain, &output, self.settings.guidance)
            }
        }
    }

    fn look(&self, traces: &mut [Vec<Glimpse>], timestep: i32, clean: &Tensor, map: Option<&Tensor>) -> Result<()> {
        let pictures = latents::decode(&self.base.vae, clean)?;
        for (index, trace) in traces.iter_mut().enumerate() {
            let weights = map.map(|map| sample(map, index)).transpose()?;
            trace.push(Glimpse { timestep, weights, estimate: Picture::from_tensor(&sample(&pictures, index)?)? });
        }
        Ok(())
    }

    fn finish(&self, jobs: &[Job], batch: &Batch, latent: &Tensor, traces: Vec<Vec<Glimpse>>) -> Result<Vec<Generated>> {
        let latent = if self.settings.last_blend {
            latents::choose(&Mask::stack(&batch.masks.iter().collect::<Vec<_>>())?, latent, &batch.normal)?
        } else {
            latent.clone()
        };
        let decoded = latents::decode(&self.base.vae, &latent)?;
        let mut finished = Vec::with_capacity(jobs.len());
        for (index, (job, trace)) in jobs.iter().zip(traces).enumerate() {
            let mut image = Picture::from_tensor(&sample(&decoded, index)?)?;
            if self.settings.paste {
                image = paste(&image, &job.normal, &job.mask, self.settings.feather);
            }
            finished.push(Generated { image, trace });
        }
        Ok(finished)
    }
}

/// One sample of a batch, without the batch's axis.
fn sample(batch: &Tensor, index: usize) -> Result<Tensor> {
    let shape = &batch.shape()[1..];
    let size: usize = shape.iter().product();
    Tensor::from_f32(batch.f32s()?[index * size..(index + 1) * size].to_vec(), shape)
}

/// Whether step `number` of `total` is one of `count` evenly spread ones, the last among them.
fn is_glimpse(number: usize, total: usize, count: usize) -> bool {
    (number + 1) * count / total > number * count / total
}

fn check_finite(latent: &Tensor, timestep: i32) -> Result<()> {
    match latent.f32s()?.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(()),
        count => bail!(
            "the denoising network gave {count} of {} numbers that are not finite at time step {timestep}; are the model's weights damaged, or --dtype too narrow?",
            latent.elements()
        ),
    }
}
