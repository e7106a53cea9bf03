//! Masks from their embedding: DDIM with guidance, decoded, cut at a threshold.

use std::sync::{Mutex, PoisonError};

use crate::anomaly::conditioning::Conditioner;
use crate::anomaly::guidance::GuidedContext;
use crate::anomaly::latents;
use crate::anomaly::learned::Kind;
use crate::anomaly::learned_masks::{LearnedMasks, inversion};
use crate::anomaly::presets::MaskSampling;
use crate::autograd::Var;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::device::Device;
use crate::diffusion::Schedule;
use crate::diffusion::ddim::{self, Step};
use crate::error::{Error, Interrupted, Result, ensure};
use crate::models::base::BaseModel;
use crate::models::unet::PreparedTimes;
use crate::ops::{self, PlannedUpdate, Updates};
use crate::tensor::Tensor;
use crate::tensor::random::{Sampler, Stream};
use crate::tensor::replay::{Repetition, Tensors, forgotten_on_error};

/// A drawn picture of a mask, before anything is cleaned.
#[derive(Clone, Debug)]
pub struct Rough {
    /// What was decoded.
    pub picture: Picture,
    /// Where its channels' mean is above the threshold.
    pub mask: Mask,
}

/// What stays the same over the steps of one batch.
struct Batch {
    context: GuidedContext,
    updates: Updates,
}

impl Tensors for Batch {
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self { context: self.context.map_tensors(change)?, updates: self.updates.map_tensors(change)? })
    }
}

/// Draws masks of one learned type.
pub struct MaskPainter<'a> {
    base: &'a BaseModel,
    masks: LearnedMasks,
    conditioner: Conditioner<'a>,
    settings: MaskSampling,
    kind: Kind,
    position: usize,
    seed: u64,
    steps: Vec<Step>,
    times: PreparedTimes,
    repetition: Mutex<Repetition<Batch, Tensor>>,
}

impl<'a> MaskPainter<'a> {
    /// Prepares prompts and steps.
    ///
    /// # Errors
    /// When the type's masks were not learned or a setting cannot work (exit code 2).
    pub fn new(base: &'a BaseModel, masks: &LearnedMasks, kind: Kind, settings: MaskSampling, seed: u64) -> Result<Self> {
        let schedule = Schedule::from_json(&base.scheduler_config.text, &base.scheduler_config.origin)?;
        let steps = ddim::steps(&schedule, settings.steps)?;
        let position = masks.position(&kind)?;
        let (conditioner, times) = (inversion::conditioner(base, masks)?, base.unet.prepare_times(&ddim::timesteps(&steps)?)?);
        // A clone shares the embeddings: what is drawn while they are trained follows them.
        let (masks, repetition) = (masks.clone(), Mutex::new(Repetition::default()));
        Ok(Self { base, masks, conditioner, settings, kind, position, seed, steps, times, repetition })
    }

    /// Draws a batch of (index, attempt). Each is a function of (seed, object, type, index, attempt) alone. `stop` is asked before every step and ends
    /// the batch with [`Interrupted`] when it names a signal.
    pub fn draw(&self, wanted: &[(u64, u64)], stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Rough>> {
        forgotten_on_error(&self.repetition, || self.complete(wanted, stop))
    }

    fn complete(&self, wanted: &[(u64, u64)], stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Rough>> {
        ensure!(!wanted.is_empty(), "a batch needs at least one mask");
        let cells = self.masks.metadata.resolution / self.base.vae.downscale();
        let shape = [cells, cells, self.base.vae.config().latent_channels];
        let device = self.base.unet.placement().device;
        let streams = |purpose: &str, timestep: i32| -> Vec<Stream> {
            let name = format!("learned mask {purpose}\0{}\0{}", self.kind.object, self.kind.defect);
            wanted.iter().map(|&(index, attempt)| Stream::new(self.seed, &name, &[index, attempt, timestep as u64])).collect()
        };
        let anomaly = Var::constant(self.masks.embedding(self.position).value());
        let samples: Vec<(usize, Var)> = wanted.iter().map(|&wanted| (self.template(wanted), anomaly.clone())).collect();
        let context = self.conditioner.context_of(&samples)?.tokens;
        let MaskSampling { eta, guidance, .. } = &self.settings;
        let planned =
            |step: &Step| PlannedUpdate { weights: step.weights(*eta, *guidance), inside: streams("step", step.timestep), outside: Vec::new() };
        let batch = Batch {
            context: GuidedContext::new(&self.base.unet, &self.conditioner, &context, *guidance)?,
            updates: Updates::new(&self.steps.iter().map(planned).collect::<Vec<_>>(), wanted.len(), device)?,
        };
        let mut latent = ops::normal(&streams("start", 0), &shape, device)?;
        let mut repetition = self.repetition.lock().unwrap_or_else(PoisonError::into_inner);
        repetition.begin();
        for number in 0..self.steps.len() {
            if let Some(signal) = stop() {
                return Err(Error::new(Interrupted { signal }));
            }
            latent = repetition.step(&batch, &latent, number, wanted.len(), |batch, latent, number| self.advance(batch, latent, number))?;
        }
        self.decoded(&latent)
    }

    /// One step of a batch.
    fn advance(&self, batch: &Batch, latent: &Tensor, number: &Tensor) -> Result<Tensor> {
        let predicted = batch.context.predict(&self.base.unet, latent, &self.times.at(number)?, None)?;
        Ok(ops::denoise(predicted.outputs(latent), &batch.updates, number, None)?.latent)
    }

    fn decoded(&self, latent: &Tensor) -> Result<Vec<Rough>> {
        let decoded = latents::decode(&self.base.vae, latent)?.to_device(Device::Cpu)?;
        let [_, height, width, channels] = decoded.dims()?;
        let rough = |pixels: &[f32]| -> Result<Rough> {
            let picture = Picture::from_tensor(&Tensor::from_f32(pixels.to_vec(), &[height, width, channels])?)?;
            let light = |pixel: &[f32]| f64::from(pixel.iter().sum::<f32>() / 3.0) > self.settings.threshold;
            let mask = Mask::from_parts(width, height, picture.pixels().chunks(3).map(light).collect());
            Ok(Rough { picture, mask })
        };
        decoded.f32s()?.chunks(height * width * channels).map(rough).collect()
    }

    fn template(&self, (index, attempt): (u64, u64)) -> usize {
        let name = format!("learned mask template\0{}\0{}", self.kind.object, self.kind.defect);
        self.masks.metadata.templates.draw(&mut Sampler::new(self.seed, &name, &[index, attempt]))
    }
}
