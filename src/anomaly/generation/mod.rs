//! Blended diffusion (METHOD section 7; paper Eq. 1): a defect is denoised inside the mask while the normal image, noised to the same step, stands
//! outside.

mod batch;
mod canvas;
mod coarse_noise;
mod finite;
mod step;
mod streams;
mod weights;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use crate::anomaly::conditioning::{Conditioner, Sample};
use crate::anomaly::guidance::GuidedContext;
use crate::anomaly::latents;
use crate::anomaly::learned::{Kind, Learned, LookShare};
use crate::anomaly::paste::paste;
use crate::anomaly::presets::{BatchNormPolicy, GenerationPreset};
use crate::anomaly::reweighting::Mode;
use crate::autograd::Var;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::device::Device;
use crate::diffusion::Schedule;
use crate::diffusion::ddim::{self, Step};
use crate::error::{Error, Interrupted, Result, ensure};
use crate::models::base::BaseModel;
use crate::models::unet::PreparedTimes;
use crate::ops::{self, BackgroundNoise, PlannedUpdate, Update, Updates};
use crate::tensor::Tensor;
use crate::tensor::replay::{Repetition, forgotten_on_error, numbers};
use batch::{Batch, State, streams};
use finite::FiniteSums;

pub use canvas::Canvas;
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
    /// The mixture of the training pairs' looks: see [`Learned::looking_like`].
    pub look: Vec<LookShare>,
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

/// Generates images of one learned type.
pub struct Generator<'a> {
    base: &'a BaseModel,
    learned: &'a Learned,
    conditioner: Conditioner<'a>,
    settings: GenerationPreset,
    kind: Kind,
    position: usize,
    seed: u64,
    steps: Vec<Step>,
    times: PreparedTimes,
    repetition: Mutex<Repetition<Batch, State>>,
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
        let times = base.unet.prepare_times(&ddim::timesteps(&steps)?)?;
        let repetition = Mutex::new(Repetition::default());
        Ok(Self { base, learned, conditioner, settings, kind, position, seed, steps, times, repetition })
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
        if rows == 0 {
            return Ok(vec![Tensor::zeros(&[0, width]); resized.len()]);
        }
        let sample = |index| ops::narrow(&tokens, 0, index, 1)?.into_tensor().reshape(&[rows, width]);
        (0..resized.len()).map(sample).collect()
    }

    /// Generates a batch. Each image depends on its own job only, bit by bit.
    ///
    /// `glimpses` is how many steps on the way are decoded for a look, evenly spread; 0 for none. `stop` is asked before every step and ends the batch
    /// with [`Interrupted`] when it names a signal.
    pub fn generate(&self, jobs: &[Job], glimpses: usize, stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Generated>> {
        let images: Vec<(&Picture, &Mask)> = jobs.iter().map(|job| (&job.normal, &job.mask)).collect();
        self.generate_on(self.canvas(&images)?, jobs, glimpses, stop)
    }

    /// As [`Generator::generate`], where the jobs' canvas is there already.
    pub fn generate_on(&self, canvas: Canvas, jobs: &[Job], glimpses: usize, stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Generated>> {
        forgotten_on_error(&self.repetition, || self.complete(canvas, jobs, glimpses, stop))
    }

    fn complete(&self, canvas: Canvas, jobs: &[Job], glimpses: usize, stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Generated>> {
        let (batch, mut state) = self.prepare(jobs, canvas)?;
        let mut traces = vec![Vec::new(); jobs.len()];
        let mut sums = FiniteSums::default();
        let mut repetition = self.repetition.lock().unwrap_or_else(PoisonError::into_inner);
        repetition.begin();
        for (number, step) in self.steps.iter().enumerate() {
            if let Some(signal) = stop() {
                return Err(Error::new(Interrupted { signal }));
            }
            let unweighted = self.is_unweighted(number);
            state = if unweighted {
                self.advance(&batch, &state, &numbers(number, jobs.len(), batch.normal.device())?, true)?
            } else {
                repetition.step(&batch, &state, number, jobs.len(), |batch, state, number| self.advance(batch, state, number, false))?
            };
            sums.add(self.base, step.timestep, &state.sum, number + 1 == self.steps.len())?;
            if is_glimpse(number, self.steps.len(), glimpses) {
                self.look(&mut traces, step.timestep, &state.estimate, state.map.as_ref().filter(|_| !unweighted))?;
            }
        }
        let placement = self.base.vae.placement();
        let finished = self.finish(jobs, if self.settings.last_blend { &state.blended } else { &state.latent }, traces)?;
        if self.base.vae.placement() != placement {
            // The step was captured with the autoencoder as it was.
            *repetition = Repetition::default();
        }
        Ok(finished)
    }

    fn prepare(&self, jobs: &[Job], canvas: Canvas) -> Result<(Batch, State)> {
        ensure!(!jobs.is_empty() && canvas.cells.len() == jobs.len(), "{} images on a canvas for {}", jobs.len(), canvas.cells.len());
        let images: Vec<ImageStreams> = jobs.iter().map(|job| ImageStreams::new(self.seed, &self.kind, job.index)).collect();
        let draws = streams(&images, |image| image.once("normal latent"));
        let device = self.base.vae.placement().device;
        let pictures = canvas.pictures.to_device(device)?;
        let normal = latents::encode_stack(&self.base.vae, &pictures, self.settings.latent, &draws)?;
        let sample = |job: &Job| Ok(Sample { template: job.template, anomaly: self.learned.looking_like(self.position, &job.look)?.detach() });
        let samples: Vec<Sample> = jobs.iter().map(sample).collect::<Result<_>>()?;
        let spatial: Vec<Var> = jobs.iter().map(|job| Var::constant(job.spatial.clone())).collect();
        let [rows, channels] = jobs[0].spatial.dims()?;
        let spatial = ops::reshape(&ops::concat(&spatial.iter().collect::<Vec<_>>(), 0)?, &[jobs.len(), rows, channels])?;
        let context = self.conditioner.context(&samples, &spatial)?;
        let columns = context.columns(self.settings.reweighting.mode.columns())?.to_device(device)?;
        let noise = ops::normal(&streams(&images, |image| image.once("initial noise")), &normal.shape()[1..], device)?;
        let noise = coarse_noise::lessened(&noise, &canvas.cells, self.settings.coarse_noise)?;
        let masks = canvas.masks.to_device(device)?;
        let batch = Batch {
            pictures,
            pixel_masks: canvas.pixel_masks.to_device(device)?,
            masks_behind: weights::all_masks_behind(&masks, self.settings.reweighting.mode, &self.steps)?,
            masks,
            normal,
            context: GuidedContext::new(&self.base.unet, &self.conditioner, &context.tokens, self.settings.guidance)?,
            columns,
            updates: self.updates(&images, device)?,
        };
        let state = self.start(&batch, noise, &images)?;
        Ok((batch, state))
    }

    /// The updates of all steps. Outside of the mask stands sqrt(a) z0(y) + sqrt(1 - a) fresh noise with the next step's a; behind the last step z0(y)
    /// itself.
    fn updates(&self, images: &[ImageStreams], device: Device) -> Result<Updates> {
        let planned = |(number, step): (usize, &Step)| {
            let (next, weights) = (self.steps.get(number + 1), step.weights(self.settings.eta, self.settings.guidance));
            PlannedUpdate {
                weights: Update { outside: next.map_or([1.0, 0.0], levels), ..weights },
                inside: streams(images, |image| image.at("step noise", step.timestep)),
                outside: next.map_or_else(Vec::new, |next| streams(images, |image| image.at("background noise", next.timestep))),
            }
        };
        Updates::new(&self.steps.iter().enumerate().map(planned).collect::<Vec<_>>(), images.len(), device)
    }

    /// The state before the first step: noise inside of the masks.
    fn start(&self, batch: &Batch, latent: Tensor, images: &[ImageStreams]) -> Result<State> {
        let (shape, mode, first) = (batch.normal.shape(), self.settings.reweighting.mode, &self.steps[0]);
        let ([signal, noise], fresh) = (levels(first), streams(images, |image| image.at("background noise", first.timestep)));
        let masks = weights::blending_masks(&batch.masks, mode, first.timestep, self.steps.len())?;
        let noise = BackgroundNoise { signal, noise, streams: &fresh };
        let blended = ops::blend(&latent, &batch.background(&masks), Some(noise))?;
        let map = if mode == Mode::Off { None } else { Some(batch.masks.reshape(&shape[..3])?) };
        let sum = Tensor::scalar(0.0).to_device(latent.device())?;
        Ok(State { estimate: latent.clone(), latent, blended, masks: batch.masks_behind.is_some().then_some(masks), map, sum })
    }

    fn look(&self, traces: &mut [Vec<Glimpse>], timestep: i32, clean: &Tensor, map: Option<&Tensor>) -> Result<()> {
        let pictures = latents::decode(&self.base.vae, clean)?.to_device(Device::Cpu)?;
        let map = map.map(|map| map.to_device(Device::Cpu)).transpose()?;
        for (index, trace) in traces.iter_mut().enumerate() {
            let weights = map.as_ref().map(|map| sample(map, index)).transpose()?;
            trace.push(Glimpse { timestep, weights, estimate: Picture::from_tensor(&sample(&pictures, index)?)? });
        }
        Ok(())
    }

    fn finish(&self, jobs: &[Job], latent: &Tensor, traces: Vec<Vec<Glimpse>>) -> Result<Vec<Generated>> {
        let decoded = finite::decode(self.base, latent)?;
        let mut finished = Vec::with_capacity(jobs.len());
        for (index, (job, trace)) in jobs.iter().zip(traces).enumerate() {
            let mut image = Picture::from_tensor(&sample(&decoded, index)?)?;
            if let Some(feather) = self.settings.pasted_feather() {
                image = paste(&image, &job.normal, &job.mask, feather);
            }
            finished.push(Generated { image, trace });
        }
        Ok(finished)
    }
}

/// The weights of the normal latent and of the noise before a step.
fn levels(step: &Step) -> [f32; 2] {
    [step.alpha.sqrt(), (1.0 - step.alpha).sqrt()].map(|level| level as f32)
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
