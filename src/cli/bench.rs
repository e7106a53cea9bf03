//! `anodiff bench`: time, rate and memory of the models' main passes.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::{Globals, output};
use crate::device::Device;
use crate::error::Result;
use crate::invalid_input;
use crate::nn::Placement;
use crate::process;
use crate::profiling::prediction::plan::Least;
use crate::profiling::prediction::{Compiled, Prediction};
use crate::profiling::workload::{Part, Request, Workload};
use crate::profiling::{Ceilings, Preset, Timing, measure};

/// The command's options.
#[derive(Debug, Args)]
#[command(after_help = "Example: anodiff bench --random sd15 --size 256 --batch 1 --json\n\
    benches/compare_pytorch.py runs the same passes in PyTorch and prints the ratios.")]
pub struct Arguments {
    #[command(flatten)]
    work: Work,
    /// Timed runs of each pass
    #[arg(long, value_name = "N", default_value_t = 5, allow_negative_numbers = true)]
    runs: usize,
    /// Predict times on an H100 from shapes and compiled kernels in place of measuring: without a GPU; needs --random and libnvrtc
    ///
    /// Without --size and --batch for 256 and 512 pixels and batches of 1, 8 and 32.
    #[arg(long, requires = "random")]
    predict: bool,
    /// Passes to measure
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,..", default_values_t = Part::NETWORKS)]
    parts: Vec<Part>,
}

/// What is measured: for `bench`, `profile` and `kernels tune`.
#[derive(Debug, Args)]
pub(super) struct Work {
    /// Random weights in the shapes of a published model, sd15 or sd21, in place of a model's files
    #[arg(long, value_name = "NAME", conflicts_with = "model")]
    random: Option<String>,
    /// Base model: a folder in the diffusers layout or a checkpoint in one .safetensors file [default: the embedded one]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Height and width of the image in pixels [default: the model's own; 256 with --random]
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    size: Option<usize>,
    /// Images in one pass [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch: Option<usize>,
    /// Denoising steps of a generation [default: the default preset's]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<usize>,
}

impl Work {
    pub(super) fn request(&self) -> Request {
        let Self { random, model, size, batch, steps } = self;
        Request { random: random.clone(), model: model.clone(), size: *size, batch: batch.unwrap_or(1), steps: *steps }
    }
}

/// What a measurement was made on.
#[derive(Debug, Serialize)]
pub(super) struct Conditions {
    pub(super) device: String,
    dtype: String,
    threads: usize,
    model: String,
    size: usize,
    batch: usize,
}

impl Conditions {
    pub(super) fn of(request: &Request, workload: &Workload, placement: Placement) -> Self {
        Self {
            device: device_name(placement),
            dtype: placement.dtype.to_string(),
            threads: rayon::current_num_threads(),
            model: request.model_name(),
            size: workload.size,
            batch: workload.batch,
        }
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, dtype, threads, model, size, batch } = self;
        write!(formatter, "{model}, {size} x {size} pixels, batch {batch}, {dtype} on {device}, {threads} threads")
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    conditions: Conditions,
    ceilings: Ceilings,
    parts: Vec<Measured>,
}

#[derive(Debug, Serialize)]
struct Measured {
    part: Part,
    milliseconds: Timing,
    /// Operations of the pass's products, in 10^9.
    gflop: f64,
    gflop_per_second: f64,
    /// 10^9 bytes a second of what the ops read and write at least.
    gigabytes_per_second: f64,
    /// The least time by the roofline, op by op, over the time that the pass took.
    roofline: f64,
    images_per_second: f64,
    /// The most memory while the pass ran, weights included: of the process, or on a GPU of all its tensors there.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
}

impl Measured {
    /// Whether whole images are made.
    fn is_of_images(&self) -> bool {
        matches!(self.part, Part::Generation | Part::GenerationExact)
    }
}

/// Runs before the clock starts: they fault in memory and fill the buffer pool.
const WARM_UP: usize = 1;

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    if arguments.predict {
        return predict(&arguments.work, globals);
    }
    let placement = globals.placement()?;
    if arguments.runs == 0 || arguments.runs > 100_000 {
        invalid_input!("--runs {}: expected 1 to 100000", arguments.runs);
    }
    let request = arguments.work.request();
    let workload = Workload::new(&request, placement)?;
    let ceilings = Ceilings::of(placement.device)?;
    let parts = arguments.parts.iter().map(|&part| measured(&workload, part, arguments.runs, placement, &ceilings)).collect::<Result<_>>()?;
    let report = Report { conditions: Conditions::of(&request, &workload, placement), ceilings, parts };
    if globals.json { output::json(&report) } else { print(&report) }
}

/// The device with its name.
fn device_name(placement: Placement) -> String {
    match placement.device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(cuda) => format!("{cuda} ({})", cuda.properties().name),
    }
}

fn measured(workload: &Workload, part: Part, runs: usize, placement: Placement, ceilings: &Ceilings) -> Result<Measured> {
    let mut pass = workload.pass(part)?;
    let least = Least::of(&pass.plan, workload.batch, placement.dtype, ceilings);
    let mut run = || {
        (pass.run)()?;
        placement.device.synchronize()
    };
    match placement.device {
        Device::Cpu => process::reset_peak(),
        Device::Cuda(cuda) => {
            // The first run may time kernels, which takes memory of its own.
            run()?;
            cuda.reset_peak_memory();
        }
    }
    let milliseconds = measure(WARM_UP, runs, run)?;
    let images_per_second = workload.batch as f64 / milliseconds.median * 1e3;
    let peak_bytes = match placement.device {
        Device::Cpu => process::peak_bytes(),
        Device::Cuda(cuda) => Some(cuda.peak_memory() as u64),
    };
    Ok(Measured {
        part,
        gflop: pass.gflop,
        gflop_per_second: pass.gflop / milliseconds.median * 1e3,
        gigabytes_per_second: least.bytes / milliseconds.median / 1e6,
        roofline: least.milliseconds / milliseconds.median,
        images_per_second,
        peak_bytes,
        milliseconds,
    })
}

/// What was predicted.
#[derive(Debug, Serialize)]
struct Predictions {
    /// Says that these are no measurements.
    what: &'static str,
    model: String,
    ceilings: Ceilings,
    predictions: Vec<Prediction>,
}

fn predict(work: &Work, globals: &Globals) -> Result<()> {
    let model = work.request().model_name();
    let preset = Preset::find(&model)?;
    let sizes = work.size.map_or(vec![256, 512], |size| vec![size]);
    let batches = work.batch.map_or(vec![1, 8, 32], |batch| vec![batch]);
    for (&size, &batch) in sizes.iter().zip(&batches) {
        // As for what is measured.
        Workload::new(&Request { size: Some(size), batch, ..work.request() }, Placement::HOST)?;
    }
    let compiled = Compiled::new()?;
    let pairs = sizes.iter().flat_map(|&size| batches.iter().map(move |&batch| (size, batch)));
    let report = Predictions {
        what: "PREDICTIONS for an H100 in f16, from the roofline, tiles and occupancy of the compiled kernels; nothing was measured",
        model,
        ceilings: Ceilings::h100(),
        predictions: pairs.map(|(size, batch)| Prediction::new(&preset, size, batch, &compiled)).collect::<Result<_>>()?,
    };
    if globals.json {
        return output::json(&report);
    }
    output::line(format_args!("{}: {}", report.model, report.what))?;
    output::line(
        "| pixels | batch | UNet ms | floor | training step ms | floor | VAE decode ms | floor | images/s, 50 steps | two passes | two passes and decoder |",
    )?;
    output::line("|---|---|---|---|---|---|---|---|---|---|---|")?;
    for Prediction { size, batch, unet, training, decoder, one_pass, two_passes, exact, .. } in &report.predictions {
        output::line(format_args!(
            "| {size} | {batch} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {one_pass:.1} | {two_passes:.1} | {exact:.1} |",
            unet.milliseconds, unet.floor, training.milliseconds, training.floor, decoder.milliseconds, decoder.floor
        ))?;
    }
    Ok(())
}

fn print(report: &Report) -> Result<()> {
    output::line(&report.conditions)?;
    for measured in &report.parts {
        let Measured { part, milliseconds: Timing { median, lowest, highest, runs, .. }, images_per_second, peak_bytes, .. } = measured;
        let images = if measured.is_of_images() { format!(", {images_per_second:.2} images/s") } else { String::new() };
        let (teraflops, traffic, roofline) = (measured.gflop_per_second / 1e3, measured.gigabytes_per_second, 100.0 * measured.roofline);
        let peak = peak_bytes.map(|bytes| format!(", peak {:.2} GiB", bytes as f64 / f64::from(1 << 30))).unwrap_or_default();
        output::line(format_args!(
            "{:16} {median:.2} ms ({lowest:.2} to {highest:.2} in {runs} runs){images}, {teraflops:.3} TFLOP/s, {traffic:.0} GB/s, {roofline:.0} % of the roofline{peak}",
            part.name()
        ))?;
    }
    output::line(&report.ceilings)
}
