//! Masks from their embedding: DDIM with guidance, decoded, cut at a threshold.

use crate::anomaly::conditioning::Conditioner;
use crate::anomaly::latents;
use crate::anomaly::learned::Kind;
use crate::anomaly::learned_masks::{LearnedMasks, inversion};
use crate::anomaly::presets::MaskSampling;
use crate::autograd::Var;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::device::Device;
use crate::diffusion::ddim::{self, Step};
use crate::diffusion::{Schedule, guide};
use crate::error::{Error, Interrupted, Result, ensure};
use crate::models::base::BaseModel;
use crate::ops;
use crate::tensor::Tensor;
use crate::tensor::random::{Sampler, Stream};

/// A drawn picture of a mask, before anything is cleaned.
#[derive(Clone, Debug)]
pub struct Rough {
    /// What was decoded.
    pub picture: Picture,
    /// Where its channels' mean is above the threshold.
    pub mask: Mask,
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
        // A clone shares the embeddings: what is drawn while they are trained follows them.
        Ok(Self { base, masks: masks.clone(), conditioner: inversion::conditioner(base, masks)?, settings, kind, position, seed, steps })
    }

    /// Draws a batch of (index, attempt). Each is a function of (seed, object, type, index, attempt) alone. `stop` is asked before every step and ends
    /// the batch with [`Interrupted`] when it names a signal.
    pub fn draw(&self, wanted: &[(u64, u64)], stop: &dyn Fn() -> Option<i32>) -> Result<Vec<Rough>> {
        ensure!(!wanted.is_empty(), "a batch needs at least one mask");
        let cells = self.masks.metadata.resolution / self.base.vae.downscale();
        let shape = [cells, cells, self.base.vae.config().latent_channels];
        let noise = |purpose: &str, timestep: i32| {
            let name = format!("learned mask {purpose}\0{}\0{}", self.kind.object, self.kind.defect);
            let stream = |&(index, attempt): &(u64, u64)| Stream::new(self.seed, &name, &[index, attempt, timestep as u64]);
            ops::normal(&wanted.iter().map(stream).collect::<Vec<_>>(), &shape, self.base.unet.placement().device)
        };
        let anomaly = Var::constant(self.masks.embedding(self.position).value());
        let samples: Vec<(usize, Var)> = wanted.iter().map(|&wanted| (self.template(wanted), anomaly.clone())).collect();
        let context = self.conditioner.context_of(&samples)?.tokens;
        let unconditional = if self.settings.guidance == 1.0 { None } else { Some(self.conditioner.plain("", wanted.len())?) };
        let unet = &self.base.unet;
        let (context, unconditional) = (unet.prepare_context(&context)?, unconditional.map(|plain| unet.prepare_context(&plain)).transpose()?);
        let all_times = unet.prepare_times(&ddim::timesteps(&self.steps)?)?;
        let mut latent = noise("start", 0)?;
        for (number, step) in self.steps.iter().enumerate() {
            if let Some(signal) = stop() {
                return Err(Error::new(Interrupted { signal }));
            }
            let sample = Var::constant(latent.clone());
            let times = all_times.at(&Tensor::from_i32(vec![number as i32; wanted.len()], &[wanted.len()])?.to_device(latent.device())?)?;
            let mut output = unet.forward_prepared(&sample, &times, &context, None)?.into_tensor();
            if let Some(unconditional) = &unconditional {
                let plain = unet.forward_prepared(&sample, &times, unconditional, None)?.into_tensor();
                output = guide(&plain, &output, self.settings.guidance)?;
            }
            latent = step.update(&output, &latent, self.settings.eta, &noise("step", step.timestep)?)?;
        }
        self.decoded(&latent)
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
