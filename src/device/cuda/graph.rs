//! Work that is recorded once and replayed: the driver gets one call in place of one for each kernel.

use std::sync::Arc;

use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};

use super::context::Cuda;
use super::launch;
use super::pool::{self, Reserve};
use crate::device::{Storage, recording};
use crate::error::{Result, anyhow, ensure};

/// Recorded kernels and copies with everything that they use.
///
/// A replay writes to the same addresses as the one before: tensors that were made while it was captured change with every replay.
pub struct Graph {
    cuda: Cuda,
    graph: CudaGraph,
    _reserve: Arc<Reserve>,
    _externals: Vec<Arc<Storage>>,
}

// SAFETY: the driver lets any thread use a graph, one at a time; `launch` takes `&mut self`, and nothing else touches it.
unsafe impl Send for Graph {}

impl Cuda {
    /// Whether work may be captured here: not when every launch is waited for (ANODIFF_SYNC=1), freed memory is not kept (ANODIFF_POOL=0), or a profile takes
    /// the time of each kernel.
    pub fn captures(&self) -> bool {
        pool::is_on() && !launch::is_synchronous() && !recording::is_on()
    }

    /// Whether a graph is being captured.
    pub fn is_capturing(&self) -> bool {
        self.pool().is_capturing()
    }

    /// Refuses what a graph cannot hold while one is captured.
    pub(super) fn outside_of_captures(&self, what: &str) -> Result<()> {
        ensure!(!self.is_capturing(), "{self}: {what} while a graph is captured");
        Ok(())
    }

    /// Records what `work` queues, without running any of it. The same work must have run before: then its kernels are loaded and the memory that it
    /// wants is there.
    ///
    /// # Errors
    /// What `work` gives, and when it copies from or to the host, waits for the GPU, or wants more memory than when it ran.
    pub fn capture<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, Graph)> {
        let refused = |error| self.error("capturing a graph", error);
        self.pool().begin_capture(*self)?;
        let begun = self.stream().begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
        let done = begun.map_err(refused).and_then(|()| work());
        let ended = self.stream().end_capture(CUgraphInstantiate_flags(0));
        let kept = self.pool().end_capture();
        // What stopped the work comes first: the capture's own error follows from it.
        let done = done?;
        let graph = ended.map_err(refused)?;
        let (Some(graph), Some((reserve, externals))) = (graph, kept) else { return Err(anyhow!("{self}: nothing was captured")) };
        Ok((done, Graph { cuda: *self, graph, _reserve: reserve, _externals: externals }))
    }
}

impl Graph {
    /// Queues all of it once more; returns before it has run.
    ///
    /// # Errors
    /// When the driver refuses. A kernel that fails while it runs shows at the next copy to the host.
    pub fn launch(&mut self) -> Result<()> {
        self.graph.launch().map_err(|error| self.cuda.error("replaying a graph", error))
    }
}
