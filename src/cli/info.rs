//! `anodiff info`: what this machine, the base model and the program are.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Globals, output};
use crate::device::cuda::{self, Compiler, Properties};
use crate::diffusion::{Prediction, Schedule};
use crate::error::Result;
use crate::models::base::{BaseModel, Part};
use crate::nn::Placement;

/// `anodiff info`: which model to describe.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Base model: a folder in the diffusers layout or a checkpoint in one .safetensors file [default: the embedded one]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
}

/// The whole result, as `--json` prints it.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    device: Device,
    cuda: Cuda,
    model: Option<Model>,
    formats: Formats,
}

#[derive(Serialize)]
struct Device {
    name: String,
    processor: String,
    threads: usize,
    instructions: Vec<&'static str>,
}

/// NVIDIA's parts as they were found, or the sentence that says what is missing.
#[derive(Serialize)]
struct Cuda {
    devices: Vec<Properties>,
    /// Why no GPU can be used.
    problem: Option<String>,
    compiler: Option<Compiler>,
    /// Why kernels cannot be compiled.
    compiler_problem: Option<String>,
}

#[derive(Serialize)]
struct Model {
    source: String,
    hash: String,
    parameters: usize,
    networks: Vec<Network>,
    resolution: usize,
    latent_channels: usize,
    pixels_per_cell: usize,
    context_width: usize,
    tokens: usize,
    prediction: &'static str,
    training_steps: usize,
}

#[derive(Serialize)]
struct Network {
    name: &'static str,
    parameters: usize,
    stored: String,
}

#[derive(Serialize)]
struct Formats {
    models: &'static str,
    weights: &'static str,
    pictures: &'static str,
    data_sets: &'static str,
    written: &'static str,
}

const FORMATS: Formats = Formats {
    models: "diffusers folders of Stable Diffusion 1.x and 2.x, any widths",
    weights: "safetensors in F32, F16 or BF16; shards; variants such as .fp16.",
    pictures: "PNG, JPEG, BMP, TIFF, WebP, PNM; any colour type; 100 megapixels and more, as far as a file takes at most 2 GiB while it is loaded",
    data_sets: "MVTec AD layout",
    written: "PNG in MVTec AD layout, manifest.jsonl, safetensors, HTML, TensorBoard events",
};

/// Runs the command.
///
/// # Errors
/// Exit code 2 when `--model` is given and is no usable base model.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let model = match &arguments.model {
        Some(folder) => Some(describe(BaseModel::load(Some(folder), Placement::HOST)?, folder.display().to_string())?),
        None if BaseModel::is_embedded() => Some(describe(BaseModel::load(None, Placement::HOST)?, "embedded".to_owned())?),
        None => None,
    };
    let device = Device {
        name: crate::device::Device::parse(&globals.device)?.to_string(),
        processor: processor(),
        threads: rayon::current_num_threads(),
        instructions: instructions(),
    };
    let report = Report { version: env!("CARGO_PKG_VERSION"), device, cuda: cuda(), model, formats: FORMATS };
    if globals.json { output::json(&report) } else { output::line(text(&report)) }
}

fn cuda() -> Cuda {
    let (devices, problem) = match cuda::devices() {
        Ok(devices) => (devices, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let (compiler, compiler_problem) = match Compiler::find() {
        Ok(compiler) => (Some(compiler.clone()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Cuda { devices, problem, compiler, compiler_problem }
}

fn cuda_lines(found: &Cuda) -> Vec<String> {
    let devices = found.devices.iter().map(|device| {
        let Properties { ordinal, name, capability, processors, memory, driver: (major, minor), .. } = device;
        let (memory, capability) = (memory >> 20, f64::from(*capability) / 10.0);
        format!("cuda:{ordinal}     {name}, compute capability {capability:.1}, {processors} multiprocessors, {memory} MiB, driver for CUDA {major}.{minor}")
    });
    let compiler = found.compiler.iter().map(|Compiler { version: (major, minor), file }| format!("libnvrtc   {major}.{minor}, {file}"));
    // Without a GPU, a missing compiler is no news.
    let problems =
        found.problem.iter().chain(found.compiler_problem.iter().filter(|_| found.problem.is_none())).map(|problem| format!("cuda       {problem}"));
    devices.chain(compiler).chain(problems).collect()
}

fn describe(model: BaseModel, source: String) -> Result<Model> {
    let network = |name, part: &Part| Network { name, parameters: part.parameters.elements(), stored: part.stored.clone().unwrap_or_default() };
    let schedule = Schedule::of(&model)?;
    let details = &model.details;
    Ok(Model {
        source,
        hash: model.hash.clone(),
        parameters: model.parameter_count(),
        networks: vec![network("text encoder", &details.text_encoder), network("unet", &details.unet), network("vae", &details.vae)],
        resolution: model.resolution(),
        latent_channels: model.vae.config().latent_channels,
        pixels_per_cell: model.vae.downscale(),
        context_width: model.text_encoder.config().hidden_size,
        tokens: model.tokenizer.length(),
        prediction: match schedule.prediction() {
            Prediction::Epsilon => "epsilon",
            Prediction::Velocity => "v",
        },
        training_steps: schedule.train_timesteps(),
    })
}

fn text(report: &Report) -> String {
    let Device { name, processor, threads, instructions } = &report.device;
    let mut lines =
        vec![format!("anodiff    {}", report.version), format!("device     {name}: {processor}, {threads} threads, {}", instructions.join(" "))];
    lines.extend(cuda_lines(&report.cuda));
    match &report.model {
        None => lines.push("model      none embedded in this build; give one with --model DIR".to_owned()),
        Some(model) => {
            lines.push(format!("model      {}, {} parameters, hash {}", model.source, grouped(model.parameters), &model.hash[..16]));
            for network in &model.networks {
                lines.push(format!("           {:<13} {:>13} {}", network.name, grouped(network.parameters), network.stored));
            }
            lines.push(format!(
                "           images of {0}x{0} pixels, latents of {1} channels, one cell for {2}x{2} pixels",
                model.resolution, model.latent_channels, model.pixels_per_cell
            ));
            lines.push(format!(
                "           {} tokens of width {}, predicts {}, {} training steps",
                model.tokens, model.context_width, model.prediction, model.training_steps
            ));
        }
    }
    let Formats { models, weights, pictures, data_sets, written } = &report.formats;
    for (name, formats) in [("models", models), ("weights", weights), ("pictures", pictures), ("data sets", data_sets), ("written", written)] {
        lines.push(format!("{name:<10} {formats}"));
    }
    lines.join("\n")
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// The processor's name where the system tells it.
fn processor() -> String {
    let list = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = list.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// The vector instructions that the engine can use here.
fn instructions() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    return [("AVX2", is_x86_feature_detected!("avx2")), ("FMA", is_x86_feature_detected!("fma")), ("AVX-512", is_x86_feature_detected!("avx512f"))]
        .into_iter()
        .filter_map(|(name, present)| present.then_some(name))
        .collect();
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands() {
        assert_eq!([0, 12, 123, 1234, 859_520_964].map(grouped), ["0", "12", "123", "1,234", "859,520,964"]);
    }
}
