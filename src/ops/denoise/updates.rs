//! What the steps of a sampler differ in.

use super::Update;
use crate::device::Device;
use crate::error::{Result, bail, ensure};
use crate::ops::random::names;
use crate::tensor::random::Stream;
use crate::tensor::replay::Tensors;
use crate::tensor::{DType, Tensor};

/// Numbers of an update: guidance, clean, epsilon, previous, deviation, outside (`kernels/denoise.cu`, `Update`).
pub(super) const NUMBERS: usize = 10;

/// One step of a batch.
#[derive(Clone, Debug)]
pub struct PlannedUpdate {
    /// Its weights.
    pub weights: Update,
    /// Names each sample's fresh noise; empty for a step without.
    pub inside: Vec<Stream>,
    /// Names each sample's noise outside of the mask; empty for a step without.
    pub outside: Vec<Stream>,
}

/// The updates of all steps of a batch where its latents are: a step is told its number there, so that a GPU repeats it without the host's help.
#[derive(Clone, Debug)]
pub struct Updates {
    /// f32 `[steps, NUMBERS]`.
    pub(super) weights: Tensor,
    /// i32 `[steps, batch, 4]`.
    pub(super) inside: Tensor,
    /// i32 `[steps, batch, 4]`.
    pub(super) outside: Tensor,
}

impl Updates {
    /// The plan of a batch of so many samples, on `device`.
    ///
    /// # Errors
    /// When a step draws noise without one stream for each sample, or the GPU's memory is full.
    pub fn new(steps: &[PlannedUpdate], batch: usize, device: Device) -> Result<Self> {
        for PlannedUpdate { weights, inside, outside } in steps {
            for (weight, streams) in [(weights.deviation, inside), (weights.outside[1], outside)] {
                ensure!(weight == 0.0 || streams.len() == batch, "denoise: {} streams of noise for a batch of {batch}", streams.len());
            }
        }
        let weights: Vec<f32> = steps.iter().flat_map(|step| step.weights.numbers()).collect();
        let named = |streams: fn(&PlannedUpdate) -> &Vec<Stream>| {
            let nobody = || Stream { key: [0; 2], nonce: [0; 2] };
            let of_step = |step| (0..batch).map(move |sample| streams(step).get(sample).cloned().unwrap_or_else(nobody));
            names(&steps.iter().flat_map(of_step).collect::<Vec<_>>(), device)?.reshape(&[steps.len(), batch, 4])
        };
        let (inside, outside) = (named(|step| &step.inside)?, named(|step| &step.outside)?);
        Ok(Self { weights: Tensor::from_f32(weights, &[steps.len(), NUMBERS])?.to_device(device)?, inside, outside })
    }

    pub(super) fn check(&self, batch: usize, number: &Tensor) -> Result<()> {
        ensure!(self.inside.dim(1) == batch, "denoise: updates planned for a batch of {} and one of {batch}", self.inside.dim(1));
        ensure!(number.dtype() == DType::I32 && number.elements() > 0, "denoise: expected the step's number, found {number:?}");
        Ok(())
    }

    /// A step's weights and the streams of its noise, in host memory.
    pub(super) fn at(&self, number: &Tensor) -> Result<PlannedUpdate> {
        let (steps, step) = (self.weights.dim(0), number.i32s()?[0]);
        let Some(step) = usize::try_from(step).ok().filter(|step| *step < steps) else { bail!("denoise: step {step} of {steps}") };
        let streams = |names: &Tensor| -> Result<Vec<Stream>> {
            let row = 4 * names.dim(1);
            let stream = |name: &[i32]| {
                let word = |at: usize| name[at].cast_unsigned();
                Stream { key: [word(0), word(1)], nonce: [word(2), word(3)] }
            };
            Ok(names.i32s()?[step * row..(step + 1) * row].chunks_exact(4).map(stream).collect())
        };
        let weights = Update::of_numbers(&self.weights.f32s()?[step * NUMBERS..(step + 1) * NUMBERS]);
        Ok(PlannedUpdate { weights, inside: streams(&self.inside)?, outside: streams(&self.outside)? })
    }
}

impl Tensors for Updates {
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self { weights: change(&self.weights)?, inside: change(&self.inside)?, outside: change(&self.outside)? })
    }
}

impl Update {
    fn numbers(&self) -> [f32; NUMBERS] {
        let ([a, b], [c, d], [e, f], [g, h]) = (self.clean, self.epsilon, self.previous, self.outside);
        [self.guidance, a, b, c, d, e, f, self.deviation, g, h]
    }

    fn of_numbers(numbers: &[f32]) -> Self {
        let pair = |at: usize| [numbers[at], numbers[at + 1]];
        Self { guidance: numbers[0], clean: pair(1), epsilon: pair(3), previous: pair(5), deviation: numbers[7], outside: pair(8) }
    }
}
