//! The passes of a model that are measured: `anodiff bench` and `anodiff profile` run the same ones.

mod generation;

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::prediction::plan::{self, Op};
use super::{FastNoise, Preset, arithmetic};
use crate::autograd::Var;
use crate::error::{Result, anyhow};
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::models::unet::{Unet, UnetConfig};
use crate::models::vae::{AutoencoderKl, VaeConfig};
use crate::nn::{Path, Placement};
use crate::ops::{self, MaskedMean};
use crate::tensor::Tensor;
use crate::tensor::random::Stream;

/// A pass that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The UNet: one denoising step
    UnetForward,
    /// The UNet and the masked loss's gradient to the context: one training step
    UnetBackward,
    /// The autoencoder's decoder
    VaeDecode,
    /// Whole images as `generate` makes them with the default preset
    Generation,
    /// Whole images with the paper's re-weighting: two passes of the UNet and the decoder at every step
    GenerationExact,
}

impl Part {
    /// The networks' passes.
    pub const NETWORKS: [Self; 3] = [Self::UnetForward, Self::UnetBackward, Self::VaeDecode];

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What is asked for on the command line.
#[derive(Clone, Debug)]
pub struct Request {
    /// Random weights in the shapes of a published model.
    pub random: Option<String>,
    /// A model's files; without either, the embedded model.
    pub model: Option<PathBuf>,
    /// Height and width of the image in pixels.
    pub size: Option<usize>,
    /// Images in one pass.
    pub batch: usize,
    /// Denoising steps of a generation.
    pub steps: Option<usize>,
}

impl Request {
    /// The model's name: that of the shapes, the path or `embedded`.
    pub fn model_name(&self) -> String {
        match (&self.random, &self.model) {
            (Some(name), _) => name.clone(),
            (None, Some(folder)) => folder.display().to_string(),
            (None, None) => "embedded".to_owned(),
        }
    }
}

/// A model's passes for one size of image and batch.
#[derive(Debug)]
pub struct Workload {
    source: Source,
    placement: Placement,
    unet: UnetConfig,
    vae: VaeConfig,
    tokens: usize,
    /// Height and width of the image.
    pub size: usize,
    /// Images in one pass.
    pub batch: usize,
    steps: Option<usize>,
}

/// Where the weights come from.
#[derive(Debug)]
enum Source {
    Random(Preset),
    Folder(Option<PathBuf>),
}

/// One pass, ready to run.
pub struct Pass {
    /// Operations of its products, in 10^9.
    pub gflop: f64,
    /// Its ops, of one sample.
    pub plan: Vec<Op>,
    /// Runs it once; on a GPU it may go on after the return.
    pub run: Box<dyn FnMut() -> Result<()>>,
}

impl Source {
    fn unet(&self, config: &UnetConfig, placement: Placement) -> Result<Unet> {
        match self {
            Self::Random(_) => random(placement, |path| Unet::new(path, config)),
            Self::Folder(folder) => BaseModel::load_unet(folder.as_deref(), placement),
        }
    }

    fn vae(&self, config: &VaeConfig, placement: Placement) -> Result<AutoencoderKl> {
        match self {
            Self::Random(_) => random(placement, |path| AutoencoderKl::new(path, config)),
            Self::Folder(folder) => BaseModel::load_vae(folder.as_deref(), placement),
        }
    }

    /// A model from files comes straight to its place; random weights are made in host memory.
    fn model(&self, placement: Placement) -> Result<BaseModel> {
        match self {
            Self::Random(preset) => preset.model().and_then(|model| model.place(placement).map(|()| model)),
            Self::Folder(folder) => BaseModel::load(folder.as_deref(), placement),
        }
    }

    /// The configs, and the tokens of a prompt.
    fn configs(&self) -> Result<(UnetConfig, VaeConfig, usize)> {
        match self {
            Self::Random(preset) => {
                Ok((UnetConfig::from_json(preset.unet, preset.name)?, VaeConfig::from_json(preset.vae, preset.name)?, preset.tokens))
            }
            Self::Folder(folder) => {
                let (text_encoder, unet, vae) = BaseModel::read_configs(folder.as_deref())?;
                Ok((unet, vae, text_encoder.max_position_embeddings))
            }
        }
    }
}

/// A network with random weights.
fn random<T>(placement: Placement, build: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let path = Path::root(&FastNoise);
    let network = build(&path)?;
    path.parameters().place(placement)?;
    Ok(network)
}

impl Workload {
    /// Checks the request; loads nothing but configs.
    ///
    /// # Errors
    /// When the size, the batch or the model cannot be used (exit code 2).
    pub fn new(request: &Request, placement: Placement) -> Result<Self> {
        let source = match &request.random {
            Some(name) => Source::Random(Preset::find(name)?),
            None => Source::Folder(request.model.clone()),
        };
        let (unet, vae, tokens) = source.configs()?;
        let default = match (&source, &unet.sample_size) {
            (Source::Folder(_), Some(cells)) => cells.at(0) * vae.downscale(),
            _ => 256,
        };
        let (size, batch) = (request.size.unwrap_or(default), request.batch);
        if size == 0 || !size.is_multiple_of(vae.downscale()) || size > 4096 {
            invalid_input!("--size {size}: expected a multiple of {} up to 4096", vae.downscale());
        }
        if batch == 0 || batch > 1024 {
            invalid_input!("--batch {batch}: expected 1 to 1024 images");
        }
        if let Some(steps) = request.steps.filter(|steps| !(1..=1000).contains(steps)) {
            invalid_input!("--steps {steps}: expected 1 to 1000");
        }
        Ok(Self { source, placement, unet, vae, tokens, size, batch, steps: request.steps })
    }

    /// Loads what a pass needs.
    ///
    /// # Errors
    /// When a model cannot be loaded or memory is full.
    pub fn pass(&self, part: Part) -> Result<Pass> {
        match part {
            Part::UnetForward => self.unet_forward(),
            Part::UnetBackward => self.unet_backward(),
            Part::VaeDecode => self.vae_decode(),
            Part::Generation => self.generation(false),
            Part::GenerationExact => self.generation(true),
        }
    }

    fn cells(&self) -> usize {
        self.size / self.vae.downscale()
    }

    fn noise(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Stream::new(0, name, &[]).normal(shape)?.to_device(self.placement.device)
    }

    /// Noisy latent, time steps and context.
    fn unet_inputs(&self) -> Result<(Var, Tensor, Tensor)> {
        let (batch, cells) = (self.batch, self.cells());
        let sample = Var::constant(self.noise("sample", &[batch, cells, cells, self.unet.in_channels])?);
        let timesteps = Tensor::from_i32(vec![500; batch], &[batch])?;
        Ok((sample, timesteps, self.noise("context", &[batch, self.tokens, self.unet.cross_attention_dim.at(0)])?))
    }

    /// Operations of a plan's products for the whole batch, in 10^9.
    fn gflop(&self, plan: &[Op]) -> f64 {
        self.batch as f64 * plan.iter().map(Op::operations).sum::<f64>() / 1e9
    }

    fn unet_forward(&self) -> Result<Pass> {
        let unet = self.source.unet(&self.unet, self.placement)?;
        let (sample, timesteps, context) = self.unet_inputs()?;
        let context = Var::constant(context);
        let plan = plan::unet(&self.unet, self.cells(), self.cells(), self.tokens);
        let run = move || unet.forward(&sample, &timesteps, &context, None).map(drop);
        let gflop = self.batch as f64 * arithmetic::unet(&self.unet, self.cells(), self.cells(), self.tokens) / 1e9;
        Ok(Pass { gflop, plan, run: Box::new(run) })
    }

    fn unet_backward(&self) -> Result<Pass> {
        let unet = self.source.unet(&self.unet, self.placement)?;
        let (sample, timesteps, context) = self.unet_inputs()?;
        let (batch, cells) = (self.batch, self.cells());
        let target = self.noise("target", &[batch, cells, cells, self.unet.out_channels])?;
        let mask = Tensor::full(1.0, &[batch, cells, cells, 1]).to_device(self.placement.device)?;
        let run = move || {
            let context = Var::leaf(context.clone());
            let output = unet.forward(&sample, &timesteps, &context, None)?;
            let gradients = ops::masked_mse(&output, &target, &mask, MaskedMean::Elements)?.backward()?;
            gradients.get(&context).map(drop).ok_or_else(|| anyhow!("the loss does not depend on the context"))
        };
        let plan = plan::unet_training(&self.unet, cells, cells, self.tokens);
        Ok(Pass { gflop: self.gflop(&plan), plan, run: Box::new(run) })
    }

    fn vae_decode(&self) -> Result<Pass> {
        let (batch, cells) = (self.batch, self.cells());
        let vae = self.source.vae(&self.vae, self.placement)?;
        let latent = Var::constant(self.noise("latent", &[batch, cells, cells, self.vae.latent_channels])?);
        let gflop = batch as f64 * arithmetic::vae_decoder(&self.vae, cells, cells) / 1e9;
        let plan = plan::vae_decoder(&self.vae, cells, cells);
        Ok(Pass { gflop, plan, run: Box::new(move || vae.decode(&latent).map(drop)) })
    }
}
