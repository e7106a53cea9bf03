//! `anodiff profile`: where the time of a pass goes, by kernel and by layer.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::bench::{Conditions, Work};
use super::{Globals, output};
use crate::device::Device;
use crate::device::cuda::Ranges;
use crate::device::recording::{self, Piece};
use crate::error::Result;
use crate::files;
use crate::invalid_input;
use crate::nn::Placement;
use crate::profiling::summary::{Grouping, Row, lines, summarise};
use crate::profiling::workload::{Part, Workload};
use crate::profiling::{Ceilings, trace};
use crate::training::progress::note;

/// The command's options.
#[derive(Debug, Args)]
#[command(after_help = "Example: anodiff profile --random sd15 --size 512 --batch 8 --device cuda --dtype f16 --trace unet.json\n\
    Shares of the roofline above 100 % are work that stayed in caches, and convolutions by a faster algorithm than their definition.\n\
    A trace opens in ui.perfetto.dev. Under Nsight Systems the layers appear as NVTX ranges where libnvToolsExt is installed.")]
pub struct Arguments {
    #[command(flatten)]
    work: Work,
    /// Passes to profile
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,..", default_values_t = [Part::UnetForward])]
    parts: Vec<Part>,
    /// Rows of each table on stdout
    #[arg(long, value_name = "N", default_value_t = 25, allow_negative_numbers = true)]
    top: usize,
    /// Parts of a layer's path that are told apart: 2 sums up all of unet.mid_block [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    depth: Option<usize>,
    /// Write all rows and the totals there, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write every kernel's time there, for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    conditions: Conditions,
    ceilings: Ceilings,
    parts: Vec<Profiled>,
}

#[derive(Serialize)]
struct Profiled {
    part: Part,
    /// By the clock, not watched.
    milliseconds: f64,
    /// By the clock, watched.
    watched_milliseconds: f64,
    /// Of all rows together.
    recorded_milliseconds: f64,
    kernels: Vec<Row>,
    layers: Vec<Row>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    for (flag, value) in [("--top", Some(arguments.top)), ("--depth", arguments.depth)] {
        if value == Some(0) {
            invalid_input!("{flag} 0: expected at least 1");
        }
    }
    let placement = globals.placement()?;
    let request = arguments.work.request();
    let workload = Workload::new(&request, placement)?;
    if placement.device != Device::Cpu && !Ranges::are_available() {
        note("no libnvToolsExt here: Nsight will show no layers (it comes with CUDA 12's toolkit and the wheel nvidia-nvtx-cu12)");
    }
    let ceilings = Ceilings::of(placement.device)?;
    let (mut parts, mut events) = (Vec::new(), Vec::new());
    for (number, &part) in arguments.parts.iter().enumerate() {
        let (pieces, profiled) = arguments.profiled(&workload, part, placement, &ceilings)?;
        if arguments.trace.is_some() {
            events.extend(trace::events(&pieces, number, &part.name()));
        }
        parts.push(profiled);
    }
    let report = Report { conditions: Conditions::of(&request, &workload, placement), ceilings, parts };
    let write =
        |path: &Option<PathBuf>, value: &Value| path.as_ref().map_or(Ok(()), |path| files::write_bytes_atomic(path, value.to_string().as_bytes()));
    write(&arguments.trace, &json!({"traceEvents": events, "displayTimeUnit": "ms"}))?;
    write(&arguments.report, &serde_json::to_value(&report)?)?;
    if globals.json { output::json(&report) } else { arguments.print(&report) }
}

impl Arguments {
    /// Runs a pass to warm up, by the clock, and recorded.
    fn profiled(&self, workload: &Workload, part: Part, placement: Placement, ceilings: &Ceilings) -> Result<(Vec<Piece>, Profiled)> {
        let mut pass = workload.pass(part)?;
        let mut timed = || {
            let start = Instant::now();
            (pass.run)()?;
            placement.device.synchronize()?;
            Ok::<_, crate::error::Error>(start.elapsed().as_secs_f64() * 1e3)
        };
        timed()?;
        let milliseconds = timed()?;
        let cuda = match placement.device {
            Device::Cpu => None,
            Device::Cuda(cuda) => Some(cuda),
        };
        let mut watched_milliseconds = 0.0;
        let pieces = recording::record(cuda, || {
            watched_milliseconds = timed()?;
            Ok(())
        })?;
        let capability = cuda.map(|cuda| cuda.capability());
        let rows = |grouping| summarise(&pieces, grouping, ceilings, capability);
        let layers = Grouping::Layers { depth: self.depth.unwrap_or(usize::MAX) };
        let recorded_milliseconds = pieces.iter().map(|piece| piece.milliseconds).sum();
        let (kernels, layers) = (rows(Grouping::Kernels), rows(layers));
        Ok((pieces, Profiled { part, milliseconds, watched_milliseconds, recorded_milliseconds, kernels, layers }))
    }

    fn print(&self, report: &Report) -> Result<()> {
        let Report { conditions, ceilings, .. } = report;
        output::line(conditions)?;
        output::line(ceilings)?;
        for profiled in &report.parts {
            let Profiled { part, milliseconds, watched_milliseconds, recorded_milliseconds, kernels, layers } = profiled;
            let calls: usize = kernels.iter().map(|row| row.calls).sum();
            output::line("")?;
            output::line(format_args!(
                "{}: {milliseconds:.3} ms; {watched_milliseconds:.3} ms watched, {recorded_milliseconds:.3} ms of them in the {calls} rows' calls",
                part.name()
            ))?;
            let title = if conditions.device == "cpu" { "op" } else { "kernel" };
            for line in lines(title, kernels, self.top).into_iter().chain([String::new()]).chain(lines("layer", layers, self.top)) {
                output::line(line)?;
            }
        }
        Ok(())
    }
}
