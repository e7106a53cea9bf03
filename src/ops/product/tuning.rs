//! Which of its right routes computes a product: the one that was fastest for its shape on this GPU, where somebody times them, or else the last.
//!
//! Routes add in different orders, so a shape must have the same route whenever it comes up: a [`Tuner`] keeps what it has found before it is used.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::{Route, Shape};
use crate::device::DType;
use crate::device::cuda::Cuda;
use crate::device::recording;
use crate::error::Result;

/// What one route took for a shape.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The route.
    pub route: Route,
    /// The median of its runs.
    pub milliseconds: f64,
    /// How far its result was from the plain route's, relative to that; none where that is not finite, which says nothing of the route.
    pub error: Option<f64>,
}

impl Trial {
    /// Whether the result was that of the plain route but for rounding.
    pub fn is_right(&self, dtype: DType) -> bool {
        self.error.is_none_or(|error| error <= dtype.tolerance())
    }
}

/// What running a route has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Runs {
    /// The time of each run, after one to warm up.
    pub milliseconds: Vec<f64>,
    /// As in [`Trial`].
    pub error: Option<f64>,
}

/// Times routes, and keeps what it has found.
pub trait Tuner: Send + Sync {
    /// What was found for a shape before.
    fn kept(&self, shape: &Shape) -> Option<Vec<Trial>>;

    /// Has `routes` run by `measure`, the plain one first, and keeps what it finds: the same trials have to come back ever after. None when a route
    /// cannot be run or the trials cannot be kept.
    fn tune(&self, shape: &Shape, routes: &[Route], measure: &mut dyn FnMut(Route) -> Result<Runs>) -> Vec<Trial>;
}

/// Who times the routes of a GPU, and what was chosen so far.
struct Tuned {
    tuner: Arc<dyn Tuner>,
    chosen: RwLock<HashMap<Shape, Route>>,
}

static TUNED: RwLock<Vec<(Cuda, Arc<Tuned>)>> = RwLock::new(Vec::new());

fn tuned(device: Cuda) -> Option<Arc<Tuned>> {
    let all = TUNED.read().unwrap_or_else(PoisonError::into_inner);
    all.iter().find(|(of, _)| *of == device).map(|(_, tuned)| Arc::clone(tuned))
}

/// Whether somebody times the routes of a GPU.
pub fn is_tuned(device: Cuda) -> bool {
    tuned(device).is_some()
}

/// From now on `tuner` times the routes of a GPU, and what was chosen before is forgotten.
pub fn tune_by(device: Cuda, tuner: Arc<dyn Tuner>) {
    let mut all = TUNED.write().unwrap_or_else(PoisonError::into_inner);
    all.retain(|(of, _)| *of != device);
    all.push((device, Arc::new(Tuned { tuner, chosen: RwLock::default() })));
}

/// The route for a shape that `routes` can compute.
pub(super) fn choose(device: Cuda, routes: &[Route], shape: impl FnOnce() -> Shape, measure: &mut dyn FnMut(Route) -> Result<Runs>) -> Route {
    let last = routes.last().copied().unwrap_or(Route::Plain);
    if routes.len() < 2 || Route::is_told() {
        return last;
    }
    let Some(tuned) = tuned(device) else { return last };
    let (Tuned { tuner, chosen }, shape) = (&*tuned, shape());
    if let Some(route) = chosen.read().unwrap_or_else(PoisonError::into_inner).get(&shape) {
        return *route;
    }
    let trials = match tuner.kept(&shape) {
        Some(trials) => trials,
        // A graph holds what has run before it was captured, a recording what comes after its warm-up: neither meets new shapes, and neither bears that
        // kernels run beside its own.
        None if device.is_capturing() || recording::is_on_here() => return last,
        None => tuner.tune(&shape, routes, measure),
    };
    let route = fastest(&trials, routes, shape.dtype);
    chosen.write().unwrap_or_else(PoisonError::into_inner).insert(shape, route);
    route
}

/// The fastest right one of `routes`; where none was timed, the last that was not found wrong. Of two that took the same time the later one.
pub fn fastest(trials: &[Trial], routes: &[Route], dtype: DType) -> Route {
    let right = trials.iter().filter(|trial| trial.is_right(dtype) && routes.contains(&trial.route));
    let fastest = right.min_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds).then(Reverse(a.route).cmp(&Reverse(b.route))));
    let untried = || routes.iter().rfind(|route| trials.iter().all(|trial| trial.route != **route)).copied();
    fastest.map(|trial| trial.route).or_else(untried).unwrap_or(Route::Plain)
}
