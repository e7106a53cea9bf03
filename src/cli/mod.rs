//! The command line: one thin file per command, called as the command. Results go to stdout, progress and logs to stderr.
//!
//! A new command is a module here, a variant of [`Command`] and a row of `run`.

mod ablate;
mod auto_batch;
mod bench;
mod check;
mod config_file;
mod demo;
mod evaluate;
mod export;
mod filter;
mod flags;
mod folders;
mod forward;
mod generate;
mod info;
mod kernels;
mod masks;
mod memory;
mod model_limits;
mod numbers;
pub mod output;
mod pipeline;
mod pretrain;
mod profile;
mod quality;
mod report;
mod train;
mod train_masks;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::device::{Device, cpu};
use crate::error::{self, Context, Result};
use crate::nn::Placement;
use crate::process::write_stderr;
use crate::profiling::verification::ensure_verified;
use crate::tensor::DType;
use crate::training::progress::note;
use crate::training::signals;
use crate::{input_error, invalid_input};

/// Learns an industrial defect from a handful of pictures and generates pixel-aligned defect image/mask pairs.
#[derive(Debug, Parser)]
#[command(name = "anodiff", version, propagate_version = true, args_override_self = true, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done; 2 wrong arguments or input; 130 (SIGINT) or 143 (SIGTERM) interrupted, state saved; 1 anything else.\n\
    Start with `anodiff demo`: it makes a small data set, learns its defects and writes a report.\n\n\
    Environment, all of it for GPUs:\n  \
    ANODIFF_CACHE=DIR     folder of compiled kernels, verdicts and times; shared by processes and machines [default: ~/.cache/anodiff]\n  \
    ANODIFF_LIBNVRTC=FILE CUDA's compiler, libnvrtc.so, to use in place of the first one found\n  \
    ANODIFF_UNVERIFIED=1  use a GPU without comparing it with the CPU first\n  \
    ANODIFF_SYNC=1        wait after every kernel, so that an error names the one that failed\n  \
    ANODIFF_POOL=0        give a tensor's memory back to the driver at its end, for compute-sanitizer")]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command understands.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Globals {
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, global = true, default_value = "auto", value_name = "DEVICE", help_heading = "Global options")]
    pub device: String,
    /// Element type of weights and activations: f32, f16 or bf16; the CPU, and what filter, evaluate, ablate and quality measure with, stay in f32
    #[arg(long, global = true, default_value = "f32", value_name = "TYPE", help_heading = "Global options")]
    pub dtype: String,
    /// Seed of all random numbers; the same seed gives the same files
    #[arg(long, global = true, default_value_t = 0, value_name = "N", help_heading = "Global options", allow_negative_numbers = true)]
    pub seed: u64,
    /// CPU threads, at most 1024 [default: one per core]; results do not depend on it
    #[arg(long, global = true, value_name = "N", help_heading = "Global options", value_parser = numbers::threads, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// TOML file with values for any flags, in one table per command; flags on the command line win
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Print the result as one JSON object on stdout
    #[arg(long, global = true, help_heading = "Global options")]
    #[serde(skip)]
    pub json: bool,
}

impl Globals {
    /// Where a command computes and in what. Says in one line which GPU was taken, or why `auto` takes none. A GPU's kernels are compared with the CPU
    /// before its first use.
    ///
    /// # Errors
    /// When a GPU was asked for that cannot be used, in one sentence (exit code 2), or that computes wrongly.
    pub fn placement(&self) -> Result<Placement> {
        self.placement_in(self.dtype()?)
    }

    /// As [`Globals::placement`], for networks that compute in f32 whatever `--dtype` says: those that are trained from nothing, and those that measure.
    pub fn f32_placement(&self) -> Result<Placement> {
        self.placement_in(DType::F32)
    }

    fn placement_in(&self, dtype: DType) -> Result<Placement> {
        let (device, reason) = match self.device.as_str() {
            "auto" => match Device::automatic() {
                (Device::Cuda(cuda), _) => ensure_verified(cuda).map_or_else(|reason| (Device::Cpu, Some(reason)), |()| (Device::Cuda(cuda), None)),
                none => none,
            },
            text => {
                let device = Device::parse(text)?;
                if let Device::Cuda(cuda) = device {
                    ensure_verified(cuda)?;
                }
                (device, None)
            }
        };
        match (device, reason) {
            (Device::Cuda(cuda), _) => {
                note(&format!("computing on {cuda}, {}, in {dtype}", cuda.properties().name));
                Ok(Placement { device, dtype })
            }
            (Device::Cpu, Some(reason)) => {
                note(&format!("computing on the CPU: {reason:#}"));
                Ok(Placement::HOST)
            }
            (Device::Cpu, None) => Ok(Placement::HOST),
        }
    }

    /// The element type of weights and activations.
    pub fn dtype(&self) -> Result<DType> {
        DType::parse(&self.dtype).context("--dtype")
    }

    /// Checks the values and sets up the thread pool. Called once, before any command runs.
    fn apply(&self, command: &Command) -> Result<()> {
        if self.device != "auto" && Device::parse(&self.device)? != Device::Cpu && !command.takes_gpu() {
            invalid_input!("--device {}: this command computes on the CPU alone in this version; use --device cpu", self.device);
        }
        self.dtype()?;
        signals::outlive_file_size_limit()?;
        if command.saves_its_state() {
            signals::install()?;
        }
        // The main thread is one of the pool's: handing each of a step's thousands of ops to other threads and sleeping meanwhile costs more than some of
        // the ops do.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0)).use_current_thread();
        pool.build_global().context("starting the thread pool")
    }
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a small data set, learn its defects from the embedded base model, generate pairs, measure them and write a report
    ///
    /// Needs no network and no data. The folder gets the data set (data/), the run (run/), the pairs (generated/), report.html and
    /// contact-sheet.png. An interrupted demo goes on where it was when it is started again.
    Demo(demo::Arguments),
    /// Time, rate and memory of the models' main passes: a denoising step, a training step, decoding
    Bench(bench::Arguments),
    /// Where the time goes: every kernel (on the CPU every op) and every layer of a pass, with its arithmetic, memory traffic and share of the roofline
    ///
    /// Times are a GPU's own (events around each kernel), on the CPU those between the ends of two ops.
    Profile(profile::Arguments),
    /// A dry look at a data set: objects, defect types, counts, split, sizes, and every file that does not fit
    Check(check::Arguments),
    /// Learn the defect types of a data set in one run: an embedding for each type and one encoder of masks for all
    ///
    /// The run folder gets checkpoints, a log (log.jsonl, TensorBoard events), validation pictures and in the end learned.safetensors, which
    /// `anodiff generate --learned` takes.
    Train(train::Arguments),
    /// Learn what the masks of every defect type look like, all in one run, so that new masks can be drawn
    ///
    /// Plain textual inversion on the masks drawn as pictures. The folder masks/ of the run gets checkpoints, a log, pictures of drawn masks and in
    /// the end masks.safetensors, which `masks` and `generate --masks learned` take.
    TrainMasks(train_masks::Arguments),
    /// Make masks ahead: drawn from what train-masks learned, or from cheaper sources; says how many of those drawn were usable
    ///
    /// Learned masks are cleaned, held to the areas of the real ones, kept from the border and put on the object. Finished masks are kept: the same
    /// command again goes on, a larger --count adds.
    Masks(masks::Arguments),
    /// Generate pixel-aligned image/mask pairs of a learned defect type
    ///
    /// The folder gets the MVTec AD layout and manifest.jsonl with one line a pair. Finished pairs are kept: the same command again goes on, a
    /// larger --count adds, another type shares the folder. An image depends on the seed, object, type and its number alone.
    Generate(generate::Arguments),
    /// Find generated pairs that failed, by documented scores; nothing is deleted
    ///
    /// A pair is dropped when too little of its mask changed, when its background drifted, or when its defect is unlike every real one of the type.
    /// The result is a list of the pairs to keep, one of those to drop, and a table of all scores.
    Filter(filter::Arguments),
    /// Write pairs as anomalib, COCO or YOLO want them, or embeddings for diffusers and AUTOMATIC1111
    Export(export::Arguments),
    /// Measure what generated pairs are worth: train inspection networks on them and on baselines, and test on the data set's own pictures
    ///
    /// For each object a localisation U-Net (DRAEM's) is trained on normal pictures and defects of one source, and tested on the real test pictures:
    /// image and pixel AUROC, AP, F1-max and PRO, per object, per type and averaged. A finished training is not done again, an interrupted one goes on
    /// when the command is given again.
    Evaluate(evaluate::Arguments),
    /// The whole experiment on a data set: check, train, train-masks, masks, generate for every type, filter, evaluate, report
    ///
    /// A stage that is done is not done again, and after an interruption the same command goes on where it was.
    Pipeline(pipeline::Arguments),
    /// Measure generated pairs themselves: mask alignment, background drift, and with networks that you provide IS, IC-LPIPS and KID
    ///
    /// Per type, per object and averaged, each number with the id of its definition. A type that is measured is not measured again.
    Quality(quality::Arguments),
    /// One self-contained page about what a folder of any command holds
    ///
    /// Writes DIR/report.html, every table also as DIR/report-NAME.csv, and all of them as DIR/report.json.
    Report(report::Arguments),
    /// What each part of the method contributes: train, generate and test with the spatial embedding, the masked loss and the re-weighting on and off
    ///
    /// The paper's table 4 on a data set of yours: variants are trained (those that differ in re-weighting alone share a run), their pairs generated, the
    /// localisation network trained on these, and tested on the data set's own pictures. What is done is not done again.
    Ablate(ablate::Arguments),
    /// Train a small base model from nothing on procedural industrial pictures, as the embedded one was
    ///
    /// First the autoencoder, then text encoder and UNet together on its latents. The folder gets checkpoints, logs, previews and in the end model/ in
    /// the diffusers layout, which --model takes.
    Pretrain(pretrain::Arguments),
    /// One network on tensors from a file, for comparing with another framework
    Forward(forward::Arguments),
    /// What this machine, the base model and the file formats are
    Info(info::Arguments),
    /// The CUDA kernels inside the program: list them, compile them ahead, compare them with the CPU, time them
    Kernels(kernels::Arguments),
}

impl Command {
    /// Whether the command computes on a GPU that it is given, or computes nothing.
    fn takes_gpu(&self) -> bool {
        let computes = matches!(
            self,
            Self::Demo(_)
                | Self::Train(_)
                | Self::Generate(_)
                | Self::Pretrain(_)
                | Self::Forward(_)
                | Self::Bench(_)
                | Self::Profile(_)
                | Self::TrainMasks(_)
                | Self::Masks(_)
                | Self::Pipeline(_)
                | Self::Filter(_)
                | Self::Evaluate(_)
                | Self::Quality(_)
                | Self::Ablate(_)
        );
        computes || matches!(self, Self::Check(_) | Self::Info(_) | Self::Kernels(_))
    }

    /// Whether the command looks for signals between its steps, and goes on where it was when it is given again. Any other ends at once by a signal.
    fn saves_its_state(&self) -> bool {
        matches!(
            self,
            Self::Demo(_)
                | Self::Train(_)
                | Self::TrainMasks(_)
                | Self::Masks(_)
                | Self::Generate(_)
                | Self::Filter(_)
                | Self::Evaluate(_)
                | Self::Pipeline(_)
                | Self::Quality(_)
                | Self::Ablate(_)
                | Self::Pretrain(_)
        )
    }
}

fn run(command: &Command, globals: &Globals) -> Result<()> {
    match command {
        Command::Demo(arguments) => demo::run(arguments, globals),
        Command::Bench(arguments) => bench::run(arguments, globals),
        Command::Profile(arguments) => profile::run(arguments, globals),
        Command::Check(arguments) => check::run(arguments, globals),
        Command::Train(arguments) => train::run(arguments, globals),
        Command::TrainMasks(arguments) => train_masks::run(arguments, globals),
        Command::Masks(arguments) => masks::run(arguments, globals),
        Command::Generate(arguments) => generate::run(arguments, globals),
        Command::Export(arguments) => export::run(arguments, globals),
        Command::Filter(arguments) => filter::run(arguments, globals),
        Command::Evaluate(arguments) => evaluate::run(arguments, globals),
        Command::Pipeline(arguments) => pipeline::run(arguments, globals),
        Command::Quality(arguments) => quality::run(arguments, globals),
        Command::Report(arguments) => report::run(arguments, globals),
        Command::Ablate(arguments) => ablate::run(arguments, globals),
        Command::Pretrain(arguments) => pretrain::run(arguments, globals),
        Command::Forward(arguments) => forward::run(arguments, globals),
        Command::Info(arguments) => info::run(arguments, globals),
        Command::Kernels(arguments) => kernels::run(arguments, globals),
    }
}

/// Parses the process's arguments, runs the command and turns its error into a message and an exit code.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let arguments = match config_file::expand(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return fail(&error),
    };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    cpu::when_memory_is_full(end_for_want_of_memory);
    match cli.globals.apply(&cli.command).and_then(|()| run(&cli.command, &cli.globals)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// The last words when a tensor does not fit in the host's memory. Files are whole or not there, so the same command can go on after this.
fn end_for_want_of_memory(bytes: usize) -> ! {
    let error = input_error!(
        "the machine's memory is full: {} MB wanted for one tensor; use a smaller --batch-size or --resolution (train --dry-run says what a training takes, \
         --auto-batch takes what fits)",
        bytes.div_ceil(1_000_000)
    );
    fail(&error);
    std::process::exit(2)
}

/// One line on stderr: the error and what led to it.
fn fail(error: &error::Error) -> ExitCode {
    write_stderr(format_args!("error: {error:#}"));
    ExitCode::from(error::exit_code(error) as u8)
}
