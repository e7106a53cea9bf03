//! Which of an op's kernels computes a product. A GPU may have several that can; the fastest of those that were not found wrong on it is taken.

use std::cell::Cell;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::device::DType;
use crate::device::cuda::Cuda;

/// The kernels that a product may take, the slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Any architecture, element type and shape (`kernels/common/product.cuh`, plain).
    Plain,
    /// mma.sync: f16 and bf16 on compute capability 8.0 and later (`kernels/common/product.cuh`, tensor).
    TensorCores,
    /// wgmma on boxes that the copy engine brings: f16 and bf16 on compute capability 9.0 alone (`kernels/common/hopper_product.cuh`).
    Hopper,
}

/// What is not taken.
static REFUSED: RwLock<Vec<(Cuda, String, DType, Route)>> = RwLock::new(Vec::new());

thread_local! {
    /// The fastest route that this thread may take, and the fastest that it took since that was set.
    static LIMIT: Cell<Route> = const { Cell::new(Route::Hopper) };
    static TAKEN: Cell<Option<Route>> = const { Cell::new(None) };
}

impl Route {
    /// Every route, the slowest first.
    pub const ALL: [Self; 3] = [Self::Plain, Self::TensorCores, Self::Hopper];

    /// Whether a GPU has what the route needs.
    pub fn is_on(self, device: Cuda, dtype: DType) -> bool {
        let capability = device.capability();
        match self {
            Self::Plain => true,
            Self::TensorCores => capability >= 80 && dtype != DType::F32,
            Self::Hopper => capability == 90 && dtype != DType::F32,
        }
    }

    /// The fastest route of `op` for a shape that `claimed` routes, besides the plain one, can compute.
    pub(super) fn choose(device: Cuda, op: &str, dtype: DType, claimed: impl Iterator<Item = Self>) -> Self {
        let limit = LIMIT.get();
        let usable = |route: &Self| *route <= limit && route.is_on(device, dtype) && !route.is_refused(device, op, dtype);
        let route = claimed.filter(usable).max().unwrap_or(Self::Plain);
        TAKEN.set(TAKEN.get().max(Some(route)));
        route
    }

    /// From now on this process does not take the route for `op` in `dtype` on this GPU.
    pub fn refuse(self, device: Cuda, op: &str, dtype: DType) {
        REFUSED.write().unwrap_or_else(PoisonError::into_inner).push((device, op.to_owned(), dtype, self));
    }

    fn is_refused(self, device: Cuda, op: &str, dtype: DType) -> bool {
        let refused = REFUSED.read().unwrap_or_else(PoisonError::into_inner);
        refused.iter().any(|(of, name, element, route)| *of == device && name == op && *element == dtype && *route == self)
    }

    /// Runs `f` with no route faster than this one, on this thread; the fastest that it took, none when it made no product on a GPU.
    pub fn at_most<T>(self, f: impl FnOnce() -> T) -> (T, Option<Self>) {
        let before = (LIMIT.replace(self), TAKEN.replace(None));
        let result = f();
        LIMIT.set(before.0);
        (result, TAKEN.replace(before.1))
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "plain",
            Self::TensorCores => "mma.sync",
            Self::Hopper => "wgmma",
        })
    }
}
