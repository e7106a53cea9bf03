//! A step that is done again and again with its own results. On a GPU it is captured once for each set of shapes and replayed: the host makes a few calls in
//! place of one for each kernel, and no memory is asked for.

use std::sync::{Mutex, PoisonError};

use crate::device::cuda::{Cuda, CudaStorage, Graph};
use crate::device::{Device, Storage};
use crate::error::{Result, anyhow, ensure};
use crate::tensor::{DType, Tensor, scratch};

/// A value made of tensors.
pub trait Tensors: Sized {
    /// The same value with each of its tensors changed, in an order that is always the same.
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self>;
}

impl Tensors for Tensor {
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        change(self)
    }
}

impl<T: Tensors> Tensors for Option<T> {
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        self.as_ref().map(|value| value.map_tensors(change)).transpose()
    }
}

fn tensors_of(value: &impl Tensors) -> Result<Vec<Tensor>> {
    let mut found = Vec::new();
    value.map_tensors(&mut |tensor| {
        found.push(tensor.clone());
        Ok(tensor.clone())
    })?;
    Ok(found)
}

/// Which steps are captured, which is all that decides it: those on a GPU, unless every launch is waited for (ANODIFF_SYNC=1), freed memory is not kept
/// (ANODIFF_POOL=0), or a profile takes the time of each kernel. Everywhere else each step is done as it is written, with the same results bit by bit.
fn captures(device: Device) -> Option<Cuda> {
    match device {
        Device::Cuda(cuda) if cuda.captures() => Some(cuda),
        Device::Cuda(_) | Device::Cpu => None,
    }
}

/// A step `state = step(inputs, state, number)` for one batch of inputs after the other. What the step uses beyond them, such as a network's weights, must
/// stay the same for as long as this lives.
pub struct Repetition<I, S> {
    replay: Option<Replay<I, S>>,
    /// Whether the replay holds this batch's inputs and the state behind its last step.
    is_current: bool,
}

impl<I, S> Default for Repetition<I, S> {
    /// With nothing captured.
    fn default() -> Self {
        Self { replay: None, is_current: false }
    }
}

impl<I: Tensors, S: Tensors + Clone> Repetition<I, S> {
    /// From here on inputs and state are those of another batch.
    pub fn begin(&mut self) {
        self.is_current = false;
    }

    /// One step. `samples` is how often the step gets its `number`: i32 `[samples]`. The state that comes back may be overwritten by the next step, so
    /// what is to be kept of it must be computed from it before.
    ///
    /// # Errors
    /// What the step gives. When captured, also when it copies from or to the host, or returns a state of other shapes than it was given.
    pub fn step(&mut self, inputs: &I, state: &S, number: usize, samples: usize, step: impl Fn(&I, &S, &Tensor) -> Result<S>) -> Result<S> {
        let device = tensors_of(state)?.first().map_or(Device::Cpu, Tensor::device);
        let Some(cuda) = captures(device) else { return step(inputs, state, &numbers(number, samples, device)?) };
        match &mut self.replay {
            Some(replay) if self.is_current => replay.run(number)?,
            Some(replay) if replay.fits(inputs, state)? => {
                replay.load(inputs, state)?;
                replay.run(number)?;
            }
            _ => {
                // Its memory serves the next one.
                self.replay = None;
                self.replay = Some(Replay::start(cuda, inputs, state, number, samples, step)?);
            }
        }
        self.is_current = true;
        self.replay.as_ref().map(|replay| replay.state.clone()).ok_or_else(|| anyhow!("a step was captured and is gone"))
    }
}

/// What `work` gives with a repetition of its own. Where it fails, what was captured is given up: a smaller batch may follow, which wants the memory.
pub fn forgotten_on_error<I, S, T>(repetition: &Mutex<Repetition<I, S>>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let made = work();
    if made.is_err() {
        *repetition.lock().unwrap_or_else(PoisonError::into_inner) = Repetition::default();
    }
    made
}

/// A step's number as the step gets it.
pub fn numbers(number: usize, samples: usize, device: Device) -> Result<Tensor> {
    Tensor::from_i32(vec![i32::try_from(number)?; samples], &[samples])?.to_device(device)
}

/// How often a step is done before its capture, at most.
const MOST_TRIES: usize = 3;

/// A captured step, and the tensors at the addresses that it reads and writes.
struct Replay<I, S> {
    /// Before what it writes to: dropped first.
    graph: Graph,
    inputs: I,
    state: S,
    number: Tensor,
}

impl<I: Tensors, S: Tensors> Replay<I, S> {
    /// Does the step once, as it is written, on its own copies of the inputs and the state; then captures it. The first time loads the kernels and gets
    /// the memory that the capture finds; where the GPU's is nearly full, it takes another time until all of it is there at once.
    ///
    /// # Errors
    /// [`MemoryFull`](crate::error::MemoryFull) where it never is.
    fn start(cuda: Cuda, inputs: &I, original: &S, number: usize, samples: usize, step: impl Fn(&I, &S, &Tensor) -> Result<S>) -> Result<Self> {
        let mut copied = |tensor: &Tensor| {
            let copy = scratch(&cuda, tensor.shape(), tensor.dtype())?;
            overwrite(&copy, tensor)?;
            Ok(copy)
        };
        let (inputs, state) = (inputs.map_tensors(&mut copied)?, original.map_tensors(&mut copied)?);
        let slot = scratch(&cuda, &[samples], DType::I32)?;
        on_gpu(&slot)?.fill(i32::try_from(number)?)?;
        let once = || replace(&state, &step(&inputs, &state, &slot)?);
        let mut left = MOST_TRIES;
        loop {
            let evictions = cuda.evictions();
            once()?;
            if cuda.evictions() == evictions {
                break;
            }
            // Some of the blocks that the capture will ask for are the driver's again.
            left -= 1;
            if left == 0 {
                return Err(cuda.no_room_to_capture());
            }
            replace(&state, original)?;
        }
        let ((), graph) = cuda.capture(once)?;
        Ok(Self { graph, inputs, state, number: slot })
    }

    /// Whether these have the shapes and element types that it was captured for.
    fn fits(&self, inputs: &I, state: &S) -> Result<bool> {
        let alike = |(a, b): (&Tensor, &Tensor)| a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device();
        let all_alike = |own: Vec<Tensor>, other: Vec<Tensor>| own.len() == other.len() && own.iter().zip(&other).all(alike);
        Ok(all_alike(tensors_of(&self.inputs)?, tensors_of(inputs)?) && all_alike(tensors_of(&self.state)?, tensors_of(state)?))
    }

    fn load(&self, inputs: &I, state: &S) -> Result<()> {
        replace(&self.inputs, inputs)?;
        replace(&self.state, state)
    }

    fn run(&mut self, number: usize) -> Result<()> {
        on_gpu(&self.number)?.fill(i32::try_from(number)?)?;
        self.graph.launch()
    }
}

/// Copies each tensor of `new` over its counterpart. One that already is a counterpart must be its own: another's would be overwritten before it is read.
fn replace<T: Tensors>(old: &T, new: &T) -> Result<()> {
    let (old, new) = (tensors_of(old)?, tensors_of(new)?);
    ensure!(old.len() == new.len(), "a repeated step was given {} tensors and gave {}", old.len(), new.len());
    for (position, (slot, value)) in old.iter().zip(&new).enumerate() {
        ensure!(slot.shape() == value.shape(), "a repeated step was given {:?} and gave {:?}", slot.shape(), value.shape());
        let other = old.iter().position(|slot| std::ptr::eq(slot.storage(), value.storage()));
        ensure!(other.is_none_or(|other| other == position), "a repeated step gave a part of its state in the place of another");
        overwrite(slot, value)?;
    }
    Ok(())
}

/// Replaces the elements of `slot`, for everyone who holds it.
fn overwrite(slot: &Tensor, by: &Tensor) -> Result<()> {
    on_gpu(slot)?.overwrite(on_gpu(by)?)
}

fn on_gpu(tensor: &Tensor) -> Result<&CudaStorage> {
    match tensor.storage() {
        Storage::Cuda(storage) => Ok(storage),
        Storage::Cpu(_) => Err(anyhow!("a step that is repeated on a GPU has {:?} in host memory", tensor.shape())),
    }
}
