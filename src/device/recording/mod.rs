//! What is computed, piece by piece, while `anodiff profile` watches: kernels on a GPU, ops on the CPU, each with the layer that it belongs to.
//!
//! Three places report here and ask one flag before they do: [`Launch::run`](super::cuda::Launch::run) for kernels, `autograd::Var` for ops and their
//! gradients, and `nn::Parameter::var` for layers. No op knows of it. A layer is named by the path of the weights that it takes; what runs between two
//! layers (attention, sums, concatenation) belongs to the part of the network that both are in, `..attn1` between `..attn1.to_v` and `..attn1.to_out.0`.
//!
//! The CPU's clock runs from the end of one op to the end of the next, so that all pieces together are the whole.

mod piece;
mod place;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use super::cuda::{Cuda, Interval, Ranges};
use crate::error::Result;
pub use piece::{Detail, KernelShape, Operand, Piece};
use place::{Place, Visits};

static ON: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<Option<State>> = Mutex::new(None);

/// A recording under way.
struct State {
    /// None: the CPU's ops are timed.
    gpu: Option<Gpu>,
    /// Whose work is recorded.
    thread: ThreadId,
    begun: Instant,
    /// Where the CPU's clock was read last, in milliseconds.
    mark: f64,
    visits: Visits,
    pieces: Vec<Pending>,
}

struct Gpu {
    cuda: Cuda,
    origin: Interval,
    ranges: Ranges,
}

/// A piece whose layer, and on a GPU whose time, is known in the end.
struct Pending {
    piece: Piece,
    place: Place,
    interval: Option<Interval>,
}

/// An op whose gradient may be computed later.
#[derive(Debug)]
pub struct Noted {
    op: &'static str,
    inputs: Vec<Operand>,
    output: Operand,
    place: Place,
}

/// A network whose layers are being computed, until it is dropped.
#[derive(Debug)]
pub struct Network(bool);

/// Whether a recording is under way.
#[inline]
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Whether what this thread computes is being recorded.
pub fn is_on_here() -> bool {
    is_on() && state().as_ref().is_some_and(|state| state.thread == thread::current().id())
}

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does `work` and returns every piece that this thread computes of it, in order, times in milliseconds since the beginning: on `cuda` its kernels, on the
/// CPU its ops. One recording at a time: another thread's waits, and `work` must not begin one.
///
/// # Errors
/// Those of `work`, and when the GPU fails.
pub fn record(cuda: Option<Cuda>, work: impl FnOnce() -> Result<()>) -> Result<Vec<Piece>> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let gpu = cuda.map(|cuda| Ok::<_, crate::error::Error>(Gpu { cuda, origin: Interval::now(&cuda)?, ranges: Ranges::default() })).transpose()?;
    let begun = Instant::now();
    *state() = Some(State { gpu, thread: thread::current().id(), begun, mark: 0.0, visits: Visits::default(), pieces: Vec::new() });
    ON.store(true, Ordering::Relaxed);
    let outcome = work();
    ON.store(false, Ordering::Relaxed);
    let finished = state().take();
    outcome?;
    finished.map_or(Ok(Vec::new()), State::finish)
}

/// The layer of this parameter is computed next.
#[inline]
pub fn visit(parameter: &str) {
    if is_on() {
        with(|state| {
            state.visits.enter(parameter);
            state.show_range();
        });
    }
}

/// The layers of a network are computed until the result is dropped; `name` begins their names.
pub fn network(name: &'static str) -> Network {
    if is_on() {
        with(|state| {
            state.lap_between();
            state.visits.networks.push(name);
        });
    }
    Network(is_on())
}

/// An op's function (as `type_name` has its closure) has computed `output` from `inputs`.
pub fn computed(function: &'static str, inputs: Vec<Operand>, output: Operand) -> Option<Noted> {
    let mut found = None;
    with(|state| {
        let place = state.visits.place();
        let detail = Detail::op(&inputs, &output, None);
        let written = if output.is_view { 0 } else { output.bytes };
        let read = if output.is_view { 0 } else { inputs.iter().map(|input| input.bytes).sum() };
        let op = piece::op_name(function);
        state.lap(Piece::new(op, "forward", output.element, [read, written], detail), place);
        state.visits.leave_layer();
        state.show_range();
        found = Some(Noted { op, inputs, output, place });
    });
    found
}

/// A kernel was queued between the two times of `interval`. `bytes` are those of the tensors that it reads and writes.
pub(super) fn launched(name: &'static str, element: super::DType, bytes: [u64; 2], kernel: KernelShape, interval: Interval) {
    with(|state| {
        let piece = Piece::new(name, "", Some(element), bytes, Detail::Kernel(kernel));
        state.pieces.push(Pending { piece, place: state.visits.place(), interval: Some(interval) });
    });
}

fn with(change: impl FnOnce(&mut State)) {
    if let Some(state) = state().as_mut().filter(|state| state.thread == thread::current().id()) {
        change(state);
    }
}

impl Noted {
    /// The gradients of the op's inputs are computed from here on.
    pub fn begin(&self) {
        with(|state| {
            state.lap_between();
            state.visits.again = Some(self.place);
            state.show_range();
        });
    }

    /// Their computation has ended: how many bytes the gradient of each input has.
    pub fn end(&self, shares: &[Option<u64>]) {
        with(|state| {
            let given: Vec<bool> = shares.iter().map(Option::is_some).collect();
            let read = self.output.bytes + self.inputs.iter().map(|input| input.bytes).sum::<u64>();
            let written = shares.iter().flatten().sum();
            let detail = Detail::op(&self.inputs, &self.output, Some(given));
            state.lap(Piece::new(self.op, "backward", self.output.element, [read, written], detail), self.place);
            state.visits.again = None;
        });
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if self.0 {
            with(|state| {
                state.lap_between();
                state.visits.leave_network();
                state.show_range();
            });
        }
    }
}

impl State {
    /// What ran on the CPU since the last mark was `piece`.
    fn lap(&mut self, mut piece: Piece, place: Place) {
        if self.gpu.is_some() {
            return;
        }
        let now = self.begun.elapsed().as_secs_f64() * 1e3;
        (piece.start, piece.milliseconds) = (self.mark, now - self.mark);
        self.mark = now;
        self.pieces.push(Pending { piece, place, interval: None });
    }

    /// What ran on the CPU since the last mark was none of the ops.
    fn lap_between(&mut self) {
        let place = self.visits.place();
        self.lap(Piece::new(piece::BETWEEN, "", None, [0, 0], Detail::Other), place);
    }

    /// Shows other profilers where the network is.
    fn show_range(&mut self) {
        if let Some(gpu) = &mut self.gpu {
            gpu.ranges.show(&self.visits.current());
        }
    }

    fn finish(mut self) -> Result<Vec<Piece>> {
        self.lap_between();
        if let Some(gpu) = &mut self.gpu {
            gpu.ranges.show("");
            gpu.cuda.synchronize()?;
        }
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for Pending { mut piece, place, interval } in self.pieces {
            piece.layer = self.visits.layer(place);
            if let (Some(interval), Some(gpu)) = (interval, &self.gpu) {
                [piece.start, piece.milliseconds] = interval.since(&gpu.origin)?;
            }
            pieces.push(piece);
        }
        Ok(pieces)
    }
}
