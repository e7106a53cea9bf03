//! `anodiff bench`: time, rate and memory of the models' main passes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::autograd::Var;
use crate::cli::{Globals, output};
use crate::device::Device;
use crate::error::{Result, anyhow};
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::models::unet::{Unet, UnetConfig};
use crate::models::vae::{AutoencoderKl, VaeConfig};
use crate::nn::{Path, Placement};
use crate::ops::{self, MaskedMean};
use crate::profiling::{FastNoise, Preset, Timing, arithmetic, measure, process};
use crate::tensor::Tensor;
use crate::tensor::random::Stream;

/// The command's options.
#[derive(Debug, Args)]
#[command(after_help = "Example: anodiff bench --random sd15 --size 256 --batch 1 --json\n\
    benches/compare_pytorch.py runs the same passes in PyTorch and prints the ratios.")]
pub struct Arguments {
    /// Random weights in the shapes of a published model, sd15 or sd21, in place of a model's files
    #[arg(long, value_name = "NAME", conflicts_with = "model")]
    random: Option<String>,
    /// Base model: a folder in the diffusers layout or a checkpoint in one .safetensors file [default: the embedded one]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Height and width of the image in pixels [default: the model's own; 256 with --random]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Images in one pass
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Timed runs of each pass
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// Passes to measure
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,..", default_values_t = Part::ALL)]
    parts: Vec<Part>,
}

impl Arguments {
    fn name(&self) -> String {
        match (&self.random, &self.model) {
            (Some(name), _) => name.clone(),
            (None, Some(folder)) => folder.display().to_string(),
            (None, None) => "embedded".to_owned(),
        }
    }
}

/// A pass that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    /// The UNet: one denoising step.
    UnetForward,
    /// The UNet and the masked loss's gradient to the context: one training step.
    UnetBackward,
    /// The autoencoder's decoder.
    VaeDecode,
}

impl Part {
    const ALL: [Self; 3] = [Self::UnetForward, Self::UnetBackward, Self::VaeDecode];
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    device: String,
    dtype: String,
    threads: usize,
    model: String,
    size: usize,
    batch: usize,
    parts: Vec<Measured>,
}

#[derive(Debug, Serialize)]
struct Measured {
    part: Part,
    milliseconds: Timing,
    /// Operations of one forward pass, in 10^9. A backward pass is not counted.
    forward_gflop: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gflop_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
}

/// Runs before the clock starts: they fault in memory and fill the buffer pool.
const WARM_UP: usize = 1;

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let placement = globals.placement()?;
    let bench = Bench::new(arguments, placement)?;
    let mut parts = Vec::new();
    parts.extend(bench.unet()?);
    parts.extend(bench.vae_decode()?);
    let report = Report {
        device: match placement.device {
            Device::Cpu => "cpu".to_owned(),
            Device::Cuda(cuda) => format!("{cuda} ({})", cuda.properties().name),
        },
        dtype: placement.dtype.to_string(),
        threads: rayon::current_num_threads(),
        model: arguments.name(),
        size: bench.size,
        batch: arguments.batch,
        parts,
    };
    if globals.json { output::json(&report) } else { print(&report) }
}

struct Bench<'a> {
    arguments: &'a Arguments,
    placement: Placement,
    source: Source,
    tokens: usize,
    unet: UnetConfig,
    vae: VaeConfig,
    /// Height and width of the image.
    size: usize,
    /// Height and width of the latent.
    cells: usize,
}

/// Where the weights come from.
enum Source {
    Random(Preset),
    Folder(Option<PathBuf>),
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

    /// The configs, and the tokens of a prompt.
    fn configs(&self) -> Result<(UnetConfig, VaeConfig, usize)> {
        match self {
            Self::Random(preset) => {
                Ok((UnetConfig::from_json(preset.unet, preset.name)?, VaeConfig::from_json(preset.vae, preset.name)?, preset.tokens))
            }
            Self::Folder(folder) => {
                let model = BaseModel::load(folder.as_deref())?;
                Ok((model.unet.config().clone(), model.vae.config().clone(), model.text_encoder.config().max_position_embeddings))
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

impl<'a> Bench<'a> {
    fn new(arguments: &'a Arguments, placement: Placement) -> Result<Self> {
        let source = match &arguments.random {
            Some(name) => Source::Random(Preset::find(name)?),
            None => Source::Folder(arguments.model.clone()),
        };
        let (unet, vae, tokens) = source.configs()?;
        let default = match (&source, &unet.sample_size) {
            (Source::Folder(_), Some(cells)) => cells.at(0) * vae.downscale(),
            _ => 256,
        };
        let Arguments { batch, runs, .. } = *arguments;
        let size = arguments.size.unwrap_or(default);
        if size == 0 || !size.is_multiple_of(vae.downscale()) || size > 4096 {
            invalid_input!("--size {size}: expected a multiple of {} up to 4096", vae.downscale());
        }
        if batch == 0 || batch > 1024 || runs == 0 || runs > 100_000 {
            invalid_input!("--batch {batch} --runs {runs}: expected at least 1, at most 1024 images and 100000 runs");
        }
        Ok(Self { arguments, placement, source, tokens, cells: size / vae.downscale(), size, unet, vae })
    }

    fn wants(&self, part: Part) -> bool {
        self.arguments.parts.contains(&part)
    }

    fn noise(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Stream::new(0, name, &[]).normal(shape)?.to_device(self.placement.device)
    }

    fn unet(&self) -> Result<Vec<Measured>> {
        if !self.wants(Part::UnetForward) && !self.wants(Part::UnetBackward) {
            return Ok(Vec::new());
        }
        let (batch, cells) = (self.arguments.batch, self.cells);
        let unet = self.source.unet(&self.unet, self.placement)?;
        let sample = Var::constant(self.noise("sample", &[batch, cells, cells, self.unet.in_channels])?);
        let target = self.noise("target", &[batch, cells, cells, self.unet.out_channels])?;
        let mask = Tensor::full(1.0, &[batch, cells, cells, 1]).to_device(self.placement.device)?;
        let context = self.noise("context", &[batch, self.tokens, self.unet.cross_attention_dim.at(0)])?;
        let timesteps = Tensor::from_i32(vec![500; batch], &[batch])?;
        let gflop = batch as f64 * arithmetic::unet(&self.unet, cells, cells, self.tokens) / 1e9;
        let mut measured = Vec::new();
        if self.wants(Part::UnetForward) {
            let context = Var::constant(context.clone());
            measured.push(self.measure(Part::UnetForward, gflop, || unet.forward(&sample, &timesteps, &context, None).map(drop))?);
        }
        if self.wants(Part::UnetBackward) {
            measured.push(self.measure(Part::UnetBackward, gflop, || {
                let context = Var::leaf(context.clone());
                let output = unet.forward(&sample, &timesteps, &context, None)?;
                let gradients = ops::masked_mse(&output, &target, &mask, MaskedMean::Elements)?.backward()?;
                gradients.get(&context).map(drop).ok_or_else(|| anyhow!("the loss does not depend on the context"))
            })?);
        }
        Ok(measured)
    }

    fn vae_decode(&self) -> Result<Option<Measured>> {
        if !self.wants(Part::VaeDecode) {
            return Ok(None);
        }
        let (batch, cells) = (self.arguments.batch, self.cells);
        let vae = self.source.vae(&self.vae, self.placement)?;
        let latent = Var::constant(self.noise("latent", &[batch, cells, cells, self.vae.latent_channels])?);
        let gflop = batch as f64 * arithmetic::vae_decoder(&self.vae, cells, cells) / 1e9;
        self.measure(Part::VaeDecode, gflop, || vae.decode(&latent).map(drop)).map(Some)
    }

    fn measure(&self, part: Part, forward_gflop: f64, mut work: impl FnMut() -> Result<()>) -> Result<Measured> {
        process::reset_peak();
        let milliseconds = measure(WARM_UP, self.arguments.runs, || {
            work()?;
            self.placement.device.synchronize()
        })?;
        let forward_only = part != Part::UnetBackward;
        let gflop_per_second = forward_only.then(|| forward_gflop / milliseconds.median * 1e3);
        // Of the process: a GPU's memory is not in it.
        let peak_bytes = if self.placement.device == Device::Cpu { process::peak_bytes() } else { None };
        Ok(Measured { part, milliseconds, forward_gflop, gflop_per_second, peak_bytes })
    }
}

fn print(report: &Report) -> Result<()> {
    let Report { device, dtype, threads, model, size, batch, .. } = report;
    output::line(format_args!("{model}, {size} x {size} pixels, batch {batch}, {dtype} on {device}, {threads} threads"))?;
    for Measured { part, milliseconds: Timing { median, lowest, highest, runs, .. }, gflop_per_second, peak_bytes, .. } in &report.parts {
        let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let rate = gflop_per_second.map(|rate| format!(", {rate:.0} GFLOP/s")).unwrap_or_default();
        let peak = peak_bytes.map(|bytes| format!(", peak {:.2} GiB", bytes as f64 / f64::from(1 << 30))).unwrap_or_default();
        output::line(format_args!("{name:14} {median:.0} ms ({lowest:.0} to {highest:.0} in {runs} runs){rate}{peak}"))?;
    }
    Ok(())
}
