//! `anodiff kernels tune`: the time of each kernel that computes a model's products, and which is taken.

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::cli::bench::{Conditions, Work};
use crate::cli::{Globals, output};
use crate::device::Device;
use crate::error::Result;
use crate::invalid_input;
use crate::ops::Route;
use crate::ops::product::Shape;
use crate::ops::tuning::{Trial, fastest};
use crate::profiling::tuning::{self, Timed};
use crate::profiling::workload::{Part, Workload};
use crate::tensor::DType;
use crate::training::progress::note;

/// `anodiff kernels tune`: what to time.
#[derive(Debug, Args)]
#[command(after_help = "Example: anodiff kernels tune --random sd15 --size 512 --batch 8 --dtype f16")]
pub(super) struct Arguments {
    #[command(flatten)]
    work: Work,
    /// Passes whose products are timed
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,..", default_values_t = PARTS)]
    parts: Vec<Part>,
}

/// Together they have the products of generation, of training and of exact re-weighting.
const PARTS: [Part; 3] = [Part::Generation, Part::UnetBackward, Part::VaeDecode];
/// Steps of a generation that have all of its products.
const STEPS: usize = 2;

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    conditions: Conditions,
    /// Where the times are kept.
    file: String,
    products: Vec<Row>,
}

/// A product, and what became of each route.
#[derive(Serialize)]
struct Row {
    product: String,
    #[serde(flatten)]
    shape: Shape,
    /// Milliseconds of each route that can compute it.
    milliseconds: BTreeMap<Route, f64>,
    /// Routes whose result was not that of the plain one.
    wrong: Vec<Route>,
    chosen: Route,
}

impl Row {
    fn new(Timed { shape, trials }: Timed) -> Self {
        let routes: Vec<Route> = trials.iter().map(|trial| trial.route).collect();
        let wrong = trials.iter().filter(|trial| !trial.is_right(shape.dtype));
        Self {
            product: shape.to_string(),
            milliseconds: trials.iter().map(|&Trial { route, milliseconds, .. }| (route, milliseconds)).collect(),
            wrong: wrong.map(|trial| trial.route).collect(),
            chosen: fastest(&trials, &routes, shape.dtype),
            shape,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 without a GPU, in f32, and when the times cannot be kept.
pub(super) fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    if globals.dtype()? == DType::F32 {
        invalid_input!("--dtype f32: products in f32 have one kernel each, so there is nothing to choose; expected f16 or bf16");
    }
    let placement = Globals { device: super::gpu_of(globals).to_owned(), ..globals.clone() }.placement()?;
    let Device::Cuda(cuda) = placement.device else { invalid_input!("--device {}: expected a GPU, whose kernels are timed", globals.device) };
    let mut request = arguments.work.request();
    request.steps = request.steps.or(Some(STEPS));
    let workload = Workload::new(&request, placement)?;
    let tuning = tuning::start_again(cuda)?;
    for &part in &arguments.parts {
        let (begun, before) = (Instant::now(), tuning.found().len());
        (workload.pass(part)?.run)()?;
        placement.device.synchronize()?;
        note(&format!("{}: {} products timed, {:.1} s", part.name(), tuning.found().len() - before, begun.elapsed().as_secs_f64()));
    }
    let products: Vec<Row> = tuning.found().into_iter().filter(|timed| !timed.trials.is_empty()).map(Row::new).collect();
    let report = Report { conditions: Conditions::of(&request, &workload, placement), file: tuning.path().display().to_string(), products };
    if globals.json { output::json(&report) } else { print(&report) }
}

fn print(report: &Report) -> Result<()> {
    output::line(&report.conditions)?;
    if report.products.is_empty() {
        return output::line(format_args!("no product was timed: each has one kernel on {}, or its times cannot be kept", report.conditions.device));
    }
    let width = report.products.iter().map(|row| row.product.len()).max().unwrap_or(0);
    output::line(format_args!("{:width$}{}  taken", "milliseconds", Route::ALL.map(|route| format!("  {route:>9}")).concat()))?;
    for Row { product, milliseconds, wrong, chosen, .. } in &report.products {
        let cell = |route: Route| match milliseconds.get(&route) {
            Some(_) if wrong.contains(&route) => format!("  {:>9}", "WRONG"),
            Some(time) => format!("  {time:>9.4}"),
            None => format!("  {:>9}", "-"),
        };
        output::line(format_args!("{product:width$}{}  {chosen}", Route::ALL.map(cell).concat()))?;
    }
    output::line(format_args!("{} products; kept in {}", report.products.len(), report.file))
}
