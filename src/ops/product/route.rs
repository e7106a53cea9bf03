//! The kernels that can compute a product or an attention, and which of them may: those that a GPU has, that were not found wrong on it, and that the
//! thread allows.

use std::cell::Cell;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::device::DType;
use crate::device::cuda::Cuda;

/// The kernels that a product or an attention may take. Those that later architectures made possible, and that are meant to be faster, come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Any architecture, element type and shape (`kernels/common/product.cuh`, plain; `kernels/attention_plain.cu`).
    Plain,
    /// mma.sync: f16 and bf16 on compute capability 8.0 and later (`kernels/common/product.cuh`, tensor; `kernels/attention.cu`,
    /// `kernels/cross_attention.cu`).
    TensorCores,
    /// wgmma on boxes that the copy engine brings: f16 and bf16 on compute capability 9.0 alone (`kernels/common/hopper_product.cuh`).
    Hopper,
    /// As that, by clusters of two blocks that read the right factor together (`kernels/product_multicast.cu`).
    Multicast,
}

/// What is not taken.
static REFUSED: RwLock<Vec<(Cuda, String, DType, Route)>> = RwLock::new(Vec::new());

thread_local! {
    /// The last route that this thread may take, if it is told, and the last that it took since then.
    static LIMIT: Cell<Option<Route>> = const { Cell::new(None) };
    static TAKEN: Cell<Option<Route>> = const { Cell::new(None) };
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 4] = [Self::Plain, Self::TensorCores, Self::Hopper, Self::Multicast];

    /// Whether a GPU has what the route needs.
    pub fn is_on(self, device: Cuda, dtype: DType) -> bool {
        let capability = device.capability();
        match self {
            Self::Plain => true,
            Self::TensorCores => capability >= 80 && dtype != DType::F32,
            Self::Hopper | Self::Multicast => capability == 90 && dtype != DType::F32,
        }
    }

    /// The plain route and, in order, those of `claimed`, which can compute the shape, that `op` may take.
    pub(in crate::ops) fn usable(device: Cuda, op: &str, dtype: DType, claimed: impl IntoIterator<Item = Option<Self>>) -> Vec<Self> {
        let limit = LIMIT.get().unwrap_or(Self::Multicast);
        let usable = |route: &Self| *route <= limit && route.is_on(device, dtype) && !route.is_refused(device, op, dtype);
        std::iter::once(Self::Plain).chain(claimed.into_iter().flatten().filter(usable)).collect()
    }

    /// Whether this thread is told which routes to take, so that none is chosen by its time.
    pub(super) fn is_told() -> bool {
        LIMIT.get().is_some()
    }

    /// Notes that this thread takes the route.
    pub(in crate::ops) fn take(self) -> Self {
        TAKEN.set(TAKEN.get().max(Some(self)));
        self
    }

    /// From now on this process does not take the route for `op` in `dtype` on this GPU.
    pub fn refuse(self, device: Cuda, op: &str, dtype: DType) {
        REFUSED.write().unwrap_or_else(PoisonError::into_inner).push((device, op.to_owned(), dtype, self));
    }

    fn is_refused(self, device: Cuda, op: &str, dtype: DType) -> bool {
        let refused = REFUSED.read().unwrap_or_else(PoisonError::into_inner);
        refused.iter().any(|(of, name, element, route)| *of == device && name == op && *element == dtype && *route == self)
    }

    /// Runs `f` on this thread, in which every product and attention takes the last route that can compute it and is not behind this one; the last that it
    /// took, none when it made neither on a GPU.
    pub fn at_most<T>(self, f: impl FnOnce() -> T) -> (T, Option<Self>) {
        let before = (LIMIT.replace(Some(self)), TAKEN.replace(None));
        let result = f();
        LIMIT.set(before.0);
        (result, TAKEN.replace(before.1))
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Plain => "plain",
            Self::TensorCores => "mma.sync",
            Self::Hopper => "wgmma",
            Self::Multicast => "multicast",
        })
    }
}
