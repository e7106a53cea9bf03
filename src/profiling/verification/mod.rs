//! Whether a GPU's kernels are right: every op on random data against the CPU, values and gradients, in every element type. A layout of fragments that
//! was never seen on some GPU must not spoil anyone's images, so a GPU is checked before its first use by a build of the program and the verdict is kept.
//! Where an op has several kernels ([`Route`]), each is judged by itself, and the others are used in place of one that is wrong; of those that are right,
//! the fastest for a shape is found by [`tuning`].

mod cases;
mod comparison;
mod record;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{kept, tuning};
use crate::device::Device;
use crate::device::cuda::{Cache, Cuda, Variant, compile_all};
use crate::error::{Result, bail};
use crate::ops::Route;
use crate::tensor::random::Stream;
use crate::tensor::{DType, Tensor};
use crate::training::progress::{Progress, note};
use cases::Case;
use comparison::Comparison;
pub use comparison::errors;
use record::Record;

/// Set to 1 to use kernels that were not verified on this GPU.
pub const UNVERIFIED_VARIABLE: &str = "ANODIFF_UNVERIFIED";

/// The cache's folder of verdicts.
const FOLDER: &str = "verdicts";

/// How one op in one element type compares with the CPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The op and its shape.
    pub op: String,
    /// The element type.
    pub dtype: String,
    /// The relative errors of the value and of each gradient, none for one that is no number; empty when the op failed.
    pub errors: Vec<Option<f64>>,
    /// What they may be.
    pub tolerance: f64,
    /// What the driver or the op said when it failed.
    pub failure: Option<String>,
    /// Which of the op's kernels, for an op that has several for this shape.
    pub variant: Option<Kernels>,
}

/// Some of an op's kernels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kernels {
    /// The op's name.
    pub op: String,
    /// Which of them.
    pub route: Route,
}

impl Verdict {
    /// Whether the kernels of the op are right.
    pub fn is_right(&self) -> bool {
        !self.errors.is_empty() && self.errors.iter().all(|error| error.is_some_and(|error| error <= self.tolerance))
    }

    /// The largest error; infinite where one is no number, none when the op failed.
    pub fn largest_error(&self) -> Option<f64> {
        self.errors.iter().map(|error| error.unwrap_or(f64::INFINITY)).max_by(f64::total_cmp)
    }

    /// Whether other kernels compute the same where these are not used.
    fn has_substitute(&self) -> bool {
        self.variant.as_ref().is_some_and(|kernels| kernels.route != Route::Plain)
    }
}

/// What a GPU was found to compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The GPU's name.
    pub device: String,
    /// The CUDA version that its driver knows.
    pub driver: (u32, u32),
    /// All verdicts.
    pub verdicts: Vec<Verdict>,
}

impl Verification {
    /// What is wrong.
    pub fn wrong(&self) -> Vec<&Verdict> {
        self.verdicts.iter().filter(|verdict| !verdict.is_right()).collect()
    }

    /// Lets other kernels compute where some are wrong; their names, `linear by wgmma in f16`.
    fn substitute(&self, cuda: Cuda) -> Result<Vec<String>> {
        let mut named = Vec::new();
        for verdict in self.wrong() {
            let Some(Kernels { op, route }) = verdict.variant.as_ref().filter(|_| verdict.has_substitute()) else { continue };
            let name = format!("{op} by {route} in {}", verdict.dtype);
            if !named.contains(&name) {
                route.refuse(cuda, op, DType::parse(&verdict.dtype)?);
                named.push(name);
            }
        }
        Ok(named)
    }
}

/// Lets a GPU be used whose kernels are right: verifies them when no verdict is kept for this GPU, driver, compiler and build. From then on products of
/// new shapes are timed by each right route when they first come up ([`tuning`]).
///
/// # Errors
/// When an op is wrong for which there are no other kernels, naming it.
pub fn ensure_verified(cuda: Cuda) -> Result<()> {
    if std::env::var_os(UNVERIFIED_VARIABLE).is_some_and(|value| value == "1") {
        return Ok(());
    }
    let verification = match kept(cuda) {
        Some(verification) => verification,
        None => verify(cuda, |_| true, None)?,
    };
    let substituted = verification.substitute(cuda)?;
    if !substituted.is_empty() {
        let (device, list) = (&cuda.properties().name, substituted.join(", "));
        note(&format!("{list}: wrong on {device} ({cuda}), so other kernels are used; please report what `anodiff kernels verify` prints"));
    }
    let hopeless = verification.wrong().into_iter().filter(|verdict| !verdict.has_substitute());
    let wrong: Vec<String> = hopeless.map(|verdict| format!("{} in {}", verdict.op, verdict.dtype)).collect();
    if !wrong.is_empty() {
        bail!(
            "{} ({cuda}) computes {} differently from the CPU, so it is not used; use --device cpu, and please report what `anodiff kernels verify` prints",
            cuda.properties().name,
            wrong.join(", ")
        );
    }
    tuning::start(cuda);
    Ok(())
}

/// Compares every op that `wants` names with the CPU, and keeps the verdict when all were compared. With `record` it also leaves operands and results in
/// that folder, for `benches/ops_pytorch.py`.
///
/// # Errors
/// When a kernel does not compile, or the folder is not empty or cannot be written to.
pub fn verify(cuda: Cuda, wants: impl Fn(&str) -> bool, record: Option<&Path>) -> Result<Verification> {
    let mut record = record.map(Record::new).transpose()?;
    let all = cases::all(cuda.properties().processors as usize)?;
    let count = all.len();
    let cases: Vec<Case> = all.into_iter().filter(|case| wants(&case.op)).collect();
    note(&format!("comparing the CUDA kernels with the CPU on {} ({cuda}); this happens once", cuda.properties().name));
    let variants = Variant::all(&[cuda.architecture()]);
    for compiled in compile_all(&variants, Cache::of_user().as_ref(), |_| {})? {
        compiled?;
    }
    let mut verdicts = Vec::new();
    let mut progress = Progress::new("verify", "op", cases.len() as u64, 0);
    for (number, case) in cases.iter().enumerate() {
        for &dtype in case.dtypes() {
            let comparison = Comparison::new(case, Device::Cuda(cuda), dtype)?;
            record.iter_mut().try_for_each(|record| record.add(case, dtype, &comparison))?;
            verdicts.extend(comparison.verdicts(case, dtype));
        }
        progress.update(number as u64 + 1, "");
    }
    progress.finish();
    let verification = Verification { device: cuda.properties().name.clone(), driver: cuda.properties().driver, verdicts };
    if cases.len() == count {
        keep(cuda, &verification);
    }
    Ok(verification)
}

/// Standard normal numbers, named by `name`.
fn random(name: &str, shape: &[usize]) -> Result<Tensor> {
    Stream::new(0, name, &[]).normal(shape)
}

/// The verdict on a GPU that was kept, if there is one.
fn kept(cuda: Cuda) -> Option<Verification> {
    kept::read(&kept::file(cuda, FOLDER)?).unwrap_or_else(|error| {
        note(&format!("{error:#}; {cuda} is verified again"));
        None
    })
}

/// A verdict that cannot be kept costs time at the next start and nothing else.
fn keep(cuda: Cuda, verification: &Verification) {
    if let Some(Err(error)) = kept::file(cuda, FOLDER).map(|path| kept::write(&path, verification)) {
        note(&format!("the verdict on {cuda} is not kept: {error:#}"));
    }
}
