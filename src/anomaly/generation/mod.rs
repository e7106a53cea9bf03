//! Blended diffusion (METHOD section 7; paper Eq. 1): a defect is denoised inside the mask while the normal image, noised to the same step, stands
//! outside.

mod finite;
mod paste;
mod streams;
mod weights;

#[cfg(test)]
mod tests;

use crate::anomaly::conditioning::{Conditioner, Sample};
use crate::anomaly::latents;
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::presets::{BatchNormPolicy, GenerationPreset};
use crate::anomaly::reweighting::{Estimate, Mode};
use crate::autograd::Var;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::device::Device;
use crate::diffusion::ddim::{self, Step};
use crate::diffusion::{Schedule, guide};
use crate::error::{Error, Interrupted, Result, ensure};
use crate::models::base::BaseModel;
use crate::models::unet::{AttentionWeights, PreparedContext, PreparedTimes};
use crate::ops::{self, Background, BackgroundNoise, Outputs};
use crate::tensor::Tensor;
use crate::tensor::random::Stream;
use finite::FiniteSums;

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
    /// `[batch, height, width, 1]`.
    pixel_masks: Tensor,
    /// Of the latent's size: `[batch, h, w, 1]`.
    masks: Tensor,
    /// z0(y), scaled: `[batch, h, w, channels]`.
    normal: Tensor,
    images: Vec<ImageStreams>,
    context: PreparedContext,
    /// `[batch, length]`.
    columns: Tensor,
    unconditional: Option<PreparedContext>,
}

impl Batch {
    /// One stream of each image.
    fn streams(&self, which: impl Fn(&ImageStreams) -> Stream) -> Vec<Stream> {
        self.images.iter().map(which).collect()
    }
}

/// What stands outside of the mask before one step.
struct Surroundings {
    /// `[batch, h, w, 1]`.
    masks: Tensor,
    /// Weights of the normal latent and of the noise; `None` for the normal latent as it is.
    levels: Option<[f32; 2]>,
    streams: Vec<Stream>,
}

impl Surroundings {
    fn of<'a>(&'a self, batch: &'a Batch) -> Background<'a> {
        let noise = self.levels.map(|[signal, noise]| BackgroundNoise { signal, noise, streams: &self.streams });
        Background { mask: &self.masks, normal: &batch.normal, noise }
    }
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
        Ok(Self { base, learned, conditioner, settings, kind, position, seed, steps, times })
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
        let batch = self.prepare(jobs)?;
        let mut background = self.background(&batch, self.steps.first())?;
        let shape = batch.normal.shape();
        let mut latent = ops::normal(&batch.streams(|streams| streams.once("initial noise")), &shape[1..], batch.normal.device())?;
        let mut blended = ops::blend(&latent, &background.of(&batch))?;
        let mut estimate: Option<Tensor> = None;
        let mut traces = vec![Vec::new(); jobs.len()];
        let mut sums = FiniteSums::default();
        for (number, step) in self.steps.iter().enumerate() {
            if let Some(signal) = stop() {
                return Err(Error::new(Interrupted { signal }));
            }
            let times = self.times.at(&Tensor::from_i32(vec![number as i32; jobs.len()], &[jobs.len()])?.to_device(latent.device())?)?;
            let map = match self.early_weights(&batch, &latent, estimate.as_ref(), &background.masks)? {
                Some(map) => Some(map),
                None => self.late_weights(&batch, &blended, step, &times)?,
            };
            let attention = map.clone().map(|map| weights::attention(self.settings.reweighting.mode, &batch.columns, map));
            let (conditional, unconditional) = self.predict(&batch, &blended, &times, attention.as_ref())?;
            let outputs = Outputs { noisy: &blended, conditional: &conditional, unconditional: unconditional.as_ref() };
            background = self.background(&batch, self.steps.get(number + 1))?;
            let fresh = batch.streams(|streams| streams.at("step noise", step.timestep));
            let weights = step.weights(self.settings.eta, self.settings.guidance);
            let next = ops::denoise(outputs, &weights, &fresh, Some(&background.of(&batch)))?;
            sums.add(step.timestep, &next.latent, number + 1 == self.steps.len())?;
            if is_glimpse(number, self.steps.len(), glimpses) {
                self.look(&mut traces, step.timestep, &next.clean, map.as_ref())?;
            }
            blended = next.blended.unwrap_or_else(|| next.latent.clone());
            (latent, estimate) = (next.latent, Some(next.clean));
        }
        self.finish(jobs, if self.settings.last_blend { &blended } else { &latent }, traces)
    }

    fn prepare(&self, jobs: &[Job]) -> Result<Batch> {
        ensure!(!jobs.is_empty(), "a batch needs at least one image");
        let images: Vec<ImageStreams> = jobs.iter().map(|job| ImageStreams::new(self.seed, &self.kind, job.index)).collect();
        let pictures: Vec<&Picture> = jobs.iter().map(|job| &job.normal).collect();
        let draws: Vec<_> = images.iter().map(|streams| streams.once("normal latent")).collect();
        let normal = latents::encode(&self.base.vae, &pictures, self.settings.latent, &draws)?;
        let ([_, height, width, _], device) = (normal.dims()?, normal.device());
        let masks: Vec<Mask> = jobs.iter().map(|job| job.mask.resized(width, height, self.learned.metadata.preset.cells)).collect();
        let stacked = |masks: Vec<&Mask>| Mask::stack(&masks)?.to_device(device);
        let anomaly = Var::constant(self.learned.anomaly(self.position).value());
        let samples: Vec<Sample> = jobs.iter().map(|job| Sample { template: job.template, anomaly: anomaly.clone() }).collect();
        let spatial: Vec<Var> = jobs.iter().map(|job| Var::constant(job.spatial.clone())).collect();
        let [rows, channels] = jobs[0].spatial.dims()?;
        let spatial = ops::reshape(&ops::concat(&spatial.iter().collect::<Vec<_>>(), 0)?, &[jobs.len(), rows, channels])?;
        let context = self.conditioner.context(&samples, &spatial)?;
        let columns = context.columns(self.settings.reweighting.mode.columns())?.to_device(device)?;
        let guided = self.settings.guidance != 1.0;
        let unet = &self.base.unet;
        let unconditional = if guided { Some(unet.prepare_context(&self.conditioner.plain("", jobs.len())?)?) } else { None };
        let context = unet.prepare_context(&context.tokens)?;
        let (pixel_masks, masks) = (stacked(jobs.iter().map(|job| &job.mask).collect())?, stacked(masks.iter().collect())?);
        let pictures = Picture::stack(&pictures)?.to_device(device)?;
        Ok(Batch { pictures, pixel_masks, masks, normal, images, context, columns, unconditional })
    }

    /// Weights that are known before the latent is blended.
    fn early_weights(&self, batch: &Batch, latent: &Tensor, estimate: Option<&Tensor>, masks: &Tensor) -> Result<Option<Tensor>> {
        let reweighting = self.settings.reweighting;
        match (reweighting.mode, reweighting.estimate, estimate) {
            (Mode::Official, _, _) => Ok(Some(weights::official(latent, &batch.normal, masks)?)),
            (_, Estimate::Previous, Some(estimate)) => self.estimated_weights(batch, estimate),
            _ => Ok(None),
        }
    }

    /// Weights of an un-weighted prediction at this very step.
    fn late_weights(&self, batch: &Batch, latent: &Tensor, step: &Step, times: &PreparedTimes) -> Result<Option<Tensor>> {
        let reweighting = self.settings.reweighting;
        if reweighting.estimate == Estimate::Previous || matches!(reweighting.mode, Mode::Off | Mode::Official) {
            return Ok(None);
        }
        let output = match self.predict(batch, latent, times, None)? {
            (output, None) => output,
            (output, Some(plain)) => guide(&plain, &output, self.settings.guidance)?,
        };
        self.estimated_weights(batch, &step.clean(&output, latent)?)
    }

    fn estimated_weights(&self, batch: &Batch, estimate: &Tensor) -> Result<Option<Tensor>> {
        Ok(match self.settings.reweighting.mode {
            Mode::Paper => Some(weights::paper(&self.base.vae, estimate, batch)?),
            Mode::Default => Some(weights::balanced(estimate, &batch.normal, &batch.masks)?),
            Mode::Off | Mode::Official => None,
        })
    }

    /// What stands outside of the mask before `step`: sqrt(a) z0(y) + sqrt(1 - a) fresh noise. Behind the last step z0(y) itself.
    fn background(&self, batch: &Batch, step: Option<&Step>) -> Result<Surroundings> {
        let Some(step) = step else { return Ok(Surroundings { masks: batch.masks.clone(), levels: None, streams: Vec::new() }) };
        let masks = weights::blending_masks(batch, self.settings.reweighting.mode, step.timestep, self.steps.len())?;
        let levels = [step.alpha.sqrt(), (1.0 - step.alpha).sqrt()].map(|level| level as f32);
        Ok(Surroundings { masks, levels: Some(levels), streams: batch.streams(|streams| streams.at("background noise", step.timestep)) })
    }

    /// The network's outputs for the context and, when guided, for none; the weights act on the first alone.
    fn predict(
        &self,
        batch: &Batch,
        latent: &Tensor,
        times: &PreparedTimes,
        attention: Option<&AttentionWeights>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let sample = Var::constant(latent.clone());
        let output = |context, attention| Ok::<_, Error>(self.base.unet.forward_prepared(&sample, times, context, attention)?.into_tensor());
        let conditional = output(&batch.context, attention)?;
        Ok((conditional, batch.unconditional.as_ref().map(|context| output(context, None)).transpose()?))
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
