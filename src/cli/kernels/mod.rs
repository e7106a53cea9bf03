//! `anodiff kernels`: the CUDA kernels inside the program, their compilation ahead of time, their comparison with the CPU, and their times.

mod tune;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Globals, output};
use crate::device::cuda::{self, Architecture, Cache, Compiled, Compiler, KERNELS, Resources, Variant, compile_all};
use crate::device::{DType, Device};
use crate::error::{Result, bail};
use crate::files;
use crate::invalid_input;
use crate::profiling::verification;
use crate::training::progress::note;

/// `anodiff kernels`: what to do with them.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the kernels: entry points, where they run, what is compiled already
    List,
    /// Compile kernels into the cache ahead of their first use, and show what each takes
    ///
    /// Needs libnvrtc, but no GPU.
    Compile(Compile),
    /// Compare every op on a GPU with the CPU: values and gradients, in every element type
    ///
    /// Done by itself before a GPU's first use; the verdict is kept for this GPU, driver, compiler and build in the cache's folder. Matrix products and
    /// attention are compared by each of their kernels: plain, mma.sync, wgmma, multicast. Exit code 1 when something is wrong: then the op's other kernels
    /// are used, or, if it has none, the GPU is not. ANODIFF_UNVERIFIED=1 uses a GPU without.
    Verify(Verify),
    /// Time every right kernel of each matrix product of a model on a GPU, and take the fastest from then on
    ///
    /// Done by itself for products that come up for the first time, on what is computed then; this does it ahead, and again for those that are known. The
    /// times are kept beside the verdict of `verify`, for all processes; they never change but by this command. One kernel is taken for a product
    /// whatever the batch, since results differ by roundings: give the --size and --batch that you generate with. A kernel whose result is not that of the
    /// plain one is not taken.
    Tune(tune::Arguments),
}

/// `anodiff kernels verify`: what to compare.
#[derive(Debug, Args)]
struct Verify {
    /// Ops whose names begin so [default: all, and the verdict is kept]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    op: Vec<String>,
    /// Also write each case's operands and results there, which `benches/ops_pytorch.py` compares with PyTorch
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

/// `anodiff kernels compile`: what to compile.
#[derive(Debug, Args)]
struct Compile {
    /// Architectures
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
    arch: Vec<String>,
    /// Kernels or entry points whose names begin so [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    entry: Vec<String>,
    /// Element types
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "f32,f16,bf16")]
    element: Vec<String>,
    /// Compile even what the cache holds, and keep nothing
    #[arg(long)]
    no_cache: bool,
    /// Also write the binaries there, as <kernel>-<type>-<arch>.cubin for nvdisasm, cuobjdump or Nsight
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Listed {
    kernel: &'static str,
    launched_by: &'static str,
    architectures: &'static [&'static str],
    elements: Vec<String>,
    entries: Vec<&'static str>,
    /// Element types whose binaries for this machine's first GPU are in the cache; none without a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    compiled: Option<Vec<String>>,
}

/// One entry point of one compilation.
#[derive(Serialize)]
struct Row {
    kernel: &'static str,
    architecture: String,
    element: String,
    #[serde(flatten)]
    resources: Resources,
}

#[derive(Serialize)]
struct Report {
    compiler: Compiler,
    cache: Option<String>,
    compilations: usize,
    from_cache: usize,
    kernels: Vec<Row>,
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 when there is no libnvrtc, a name fits nothing or an architecture is unknown; 1 when a kernel does not compile.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    match &arguments.action {
        Action::List => list(globals),
        Action::Compile(chosen) => compile(chosen, globals),
        Action::Verify(chosen) => verify(chosen, globals),
        Action::Tune(chosen) => tune::run(chosen, globals),
    }
}

fn list(globals: &Globals) -> Result<()> {
    let cache = cuda::devices().ok().and_then(|devices| {
        let capability = devices.first()?.capability;
        Some((Architecture::of_capability(capability / 10, capability % 10), Compiler::find().ok()?, Cache::of_user()?))
    });
    let is_compiled = |kernel, element| {
        let (architecture, compiler, cache) = cache.as_ref()?;
        Some(Variant { kernel, element, architecture: *architecture }.is_cached(compiler, cache))
    };
    let kernels = KERNELS.iter().map(|kernel| Listed {
        kernel: kernel.name,
        launched_by: kernel.launched_by,
        architectures: kernel.architectures,
        elements: kernel.elements.iter().map(DType::to_string).collect(),
        entries: kernel.entries.iter().map(|entry| entry.name).collect(),
        compiled: cache.as_ref().map(|_| {
            let elements = kernel.elements.iter().filter(|element| is_compiled(kernel, **element) == Some(true));
            elements.map(DType::to_string).collect()
        }),
    });
    let kernels: Vec<Listed> = kernels.collect();
    if globals.json {
        return output::json(&kernels);
    }
    for Listed { kernel, launched_by, architectures, elements, entries, compiled } in &kernels {
        let compiled = compiled.as_ref().map(|compiled| if compiled.is_empty() { "nothing".to_owned() } else { compiled.join(", ") });
        let compiled = compiled.map(|compiled| format!("  compiled for this GPU: {compiled}")).unwrap_or_default();
        output::line(format!("{kernel}  {}  {}  launched by {launched_by}{compiled}", architectures.join(", "), elements.join(", ")))?;
        for entry in entries {
            output::line(format!("    {entry}"))?;
        }
    }
    Ok(())
}

fn compile(chosen: &Compile, globals: &Globals) -> Result<()> {
    let variants = chosen.variants()?;
    let compiler = Compiler::find()?;
    let cache = if chosen.no_cache { None } else { Cache::of_user() };
    let results = compile_all(&variants, cache.as_ref(), |variant| note(&format!("compiled {variant}")))?;
    let results = results.into_iter().collect::<Result<Vec<Compiled>>>()?;
    if let Some(folder) = &chosen.out {
        write_binaries(folder, &variants, &results)?;
    }
    let rows = variants.iter().zip(&results).flat_map(|(variant, compiled)| {
        let resources = compiled.resources().into_iter().filter(|resources| chosen.wants(variant.kernel.name, &resources.entry));
        resources.map(|resources| Row {
            kernel: variant.kernel.name,
            architecture: variant.architecture.to_string(),
            element: variant.element.to_string(),
            resources,
        })
    });
    let report = Report {
        compiler: compiler.clone(),
        cache: cache.map(|cache| cache.folder().display().to_string()),
        compilations: results.len(),
        from_cache: results.iter().filter(|compiled| compiled.cached).count(),
        kernels: rows.collect(),
    };
    if globals.json { output::json(&report) } else { output::line(table(&report)) }
}

fn write_binaries(folder: &Path, variants: &[Variant], results: &[Compiled]) -> Result<()> {
    files::create_folder(folder)?;
    variants.iter().zip(results).try_for_each(|(Variant { kernel, element, architecture }, compiled)| {
        files::write_bytes_atomic(&folder.join(format!("{}-{element}-{architecture}.cubin", kernel.name)), &compiled.binary)
    })
}

/// The device that is asked for, which must be a GPU.
fn gpu_of(globals: &Globals) -> &str {
    if globals.device == "auto" { "cuda" } else { &globals.device }
}

fn verify(chosen: &Verify, globals: &Globals) -> Result<()> {
    let text = gpu_of(globals);
    let Device::Cuda(cuda) = Device::parse(text)? else { invalid_input!("--device {text}: expected a GPU to compare with the CPU") };
    let wants = |op: &str| chosen.op.is_empty() || chosen.op.iter().any(|name| op.starts_with(name.as_str()));
    let verification = verification::verify(cuda, wants, chosen.record.as_deref())?;
    if verification.verdicts.is_empty() {
        invalid_input!("--op {}: no op's name begins so", chosen.op.join(","));
    }
    if globals.json {
        output::json(&verification)?;
    } else {
        for verdict in &verification.verdicts {
            let verdict_word = if verdict.is_right() { "right" } else { "WRONG" };
            let error = verdict.largest_error().map(|error| format!("error {error:.1e} of {:.1e}", verdict.tolerance));
            let found = error.or_else(|| verdict.failure.clone()).unwrap_or_default();
            let route = verdict.variant.as_ref().map(|kernels| kernels.route.to_string()).unwrap_or_default();
            output::line(format!("{verdict_word}  {:<4}  {:<8}  {:<44}  {found}", verdict.dtype, route, verdict.op))?;
        }
    }
    match verification.wrong().len() {
        0 => Ok(()),
        count => bail!("{count} of {} comparisons are wrong on {}", verification.verdicts.len(), verification.device),
    }
}

impl Compile {
    fn variants(&self) -> Result<Vec<Variant>> {
        let architectures = self.arch.iter().map(|text| Architecture::parse(text.trim())).collect::<Result<Vec<_>>>()?;
        let elements = self.element.iter().map(|text| DType::parse(text.trim())).collect::<Result<Vec<_>>>()?;
        let mut variants = Variant::all(&architectures);
        variants.retain(|variant| {
            elements.contains(&variant.element) && variant.kernel.entries.iter().any(|entry| self.wants(variant.kernel.name, entry.name))
        });
        if variants.is_empty() {
            let known: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
            invalid_input!("no kernel fits --arch, --entry and --element; the kernels are {} (anodiff kernels list)", known.join(", "));
        }
        Ok(variants)
    }

    fn wants(&self, kernel: &str, entry: &str) -> bool {
        self.entry.is_empty() || self.entry.iter().any(|name| kernel == name || entry.starts_with(name.as_str()))
    }
}

fn table(report: &Report) -> String {
    let width = report.kernels.iter().map(|row| row.resources.entry.len()).max().unwrap_or(0).max(5);
    let mut lines = vec![format!("{:<width$}  arch     type  registers  spilled  stack  shared", "entry")];
    lines.extend(report.kernels.iter().map(|Row { architecture, element, resources, .. }| {
        let Resources { entry, registers, spill_stores, spill_loads, stack, shared } = resources;
        format!("{entry:<width$}  {architecture:<7}  {element:<4}  {registers:>9}  {:>7}  {stack:>5}  {shared:>6}", spill_stores + spill_loads)
    }));
    let (major, minor) = report.compiler.version;
    let Report { compilations, from_cache, .. } = report;
    lines.push(format!("{compilations} compilations, {from_cache} from the cache; libnvrtc {major}.{minor}, {}", report.compiler.file));
    lines.push(format!("cache: {}", report.cache.as_deref().unwrap_or("not used")));
    lines.join("\n")
}
