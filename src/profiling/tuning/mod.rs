//! Which of its right routes is the fastest for a product, by time: the first time that a shape comes up on a GPU every route computes it, on the operands
//! at hand but with empty caches, and what each took is kept beside the verdict of [`verification`](super::verification). `anodiff kernels tune` does it ahead, and again.
//!
//! Routes add in different orders, and an image must not depend on when, with how many others or by which process it was made. So a shape knows no
//! batch, its times are on disk before its result is used, the first that are written count for every process, and they stay until
//! `anodiff kernels tune` replaces them. Where they cannot be kept nothing is timed, and products take the last of their right routes.
//! Results of two GPUs, or of two caches, may differ by roundings.

mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Timing, kept};
use crate::device::cuda::Cuda;
use crate::error::Result;
use crate::input_error;
use crate::ops::Route;
use crate::ops::product::Shape;
use crate::ops::tuning::{Runs, Trial, Tuner, is_tuned, tune_by};
use crate::training::progress::note;
use store::Store;
pub use store::Timed;

/// The cache's folder of times.
const FOLDER: &str = "routes";

/// Has products timed on a GPU from here on, unless that is so already or there is no cache to keep the times in.
pub fn start(cuda: Cuda) {
    if is_tuned(cuda) {
        return;
    }
    if let Some(path) = kept::file(cuda, FOLDER) {
        tune_by(cuda, Arc::new(Tuning::new(&path, cuda.properties().name.clone(), Times::First)));
    }
}

/// Has every product that comes up from here on timed on a GPU, whatever is kept of it; what the result has found replaces that.
///
/// # Errors
/// When there is no cache to keep the times in (exit code 2).
pub fn start_again(cuda: Cuda) -> Result<Arc<Tuning>> {
    let path = kept::file(cuda, FOLDER).ok_or_else(|| {
        input_error!("there is no folder to keep times in: set ANODIFF_CACHE, XDG_CACHE_HOME or HOME to one that can be written to")
    })?;
    let tuning = Arc::new(Tuning::new(&path, cuda.properties().name.clone(), Times::Again));
    let tuner: Arc<dyn Tuner> = Arc::<Tuning>::clone(&tuning);
    tune_by(cuda, tuner);
    Ok(tuning)
}

/// Which shapes are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    /// Those of which nothing is kept.
    First,
    /// All, once in this process.
    Again,
}

/// Times products, and keeps the times in a file.
pub struct Tuning {
    store: Store,
    device: String,
    times: Times,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What counts in this process, whatever others write meanwhile.
    known: HashMap<Shape, Vec<Trial>>,
    /// What was timed here, in order.
    found: Vec<Timed>,
    /// Whether it was said that times are taken.
    is_announced: bool,
    /// Whether times can no longer be kept.
    is_broken: bool,
}

impl Tuning {
    fn new(path: &Path, device: String, times: Times) -> Self {
        let store = Store::new(path);
        let known = if times == Times::First { store.read() } else { Vec::new() };
        let known = known.into_iter().map(|Timed { shape, trials }| (shape, trials)).collect();
        Self { store, device, times, state: Mutex::new(State { known, ..State::default() }) }
    }

    /// Where the times are kept.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// What was timed in this process, in order.
    pub fn found(&self) -> Vec<Timed> {
        self.state().found.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether times are taken; says so before the first.
    fn takes_times(&self) -> bool {
        let mut state = self.state();
        if !state.is_announced && !state.is_broken {
            state.is_announced = true;
            note(&format!("timing the kernels of each product on {} as its shape first comes up; kept in {}", self.device, self.path().display()));
        }
        !state.is_broken
    }

    /// One trial of each route, or none when one of them cannot be run.
    fn trials(&self, shape: &Shape, routes: &[Route], measure: &mut dyn FnMut(Route) -> Result<Runs>) -> Vec<Trial> {
        let mut trials = Vec::with_capacity(routes.len());
        for &route in routes {
            match measure(route) {
                Ok(Runs { milliseconds, error }) => {
                    // JSON has no infinity.
                    let error = error.map(|error| if error.is_finite() { error } else { f64::MAX });
                    trials.push(Trial { route, milliseconds: Timing::new(milliseconds).median, error });
                }
                Err(error) => {
                    note(&format!("{shape} is not timed, {route} fails: {error:#}"));
                    return Vec::new();
                }
            }
        }
        for Trial { route, error, .. } in trials.iter().filter(|trial| !trial.is_right(shape.dtype)) {
            let found = match error {
                Some(error) if *error < f64::MAX => format!("relative error {error:.1e}"),
                _ => "not a number".to_owned(),
            };
            note(&format!("{shape} by {route} is wrong on {} ({found}), so other kernels compute it; please report it", self.device));
        }
        trials
    }
}

impl Tuner for Tuning {
    fn kept(&self, shape: &Shape) -> Option<Vec<Trial>> {
        self.state().known.get(shape).cloned()
    }

    fn tune(&self, shape: &Shape, routes: &[Route], measure: &mut dyn FnMut(Route) -> Result<Runs>) -> Vec<Trial> {
        if !self.takes_times() {
            return Vec::new();
        }
        let timed = Timed { shape: shape.clone(), trials: self.trials(shape, routes, measure) };
        let kept = self.store.add(&timed, self.times == Times::Again);
        let mut state = self.state();
        match kept {
            Ok(all) => {
                // What others have timed meanwhile need not be timed here.
                let others = all.into_iter().filter(|other| self.times == Times::First || other.shape == *shape);
                for Timed { shape, trials } in others {
                    state.known.entry(shape).or_insert(trials);
                }
                state.found.push(timed);
                state.known.get(shape).cloned().unwrap_or_default()
            }
            Err(error) => {
                state.is_broken = true;
                note(&format!("times of products are not kept, so none are taken: {error:#}"));
                Vec::new()
            }
        }
    }
}
