//! How much memory a training takes, told before it starts by three small steps of it.

use crate::anomaly::inversion::{Examples, Inversion};
use crate::anomaly::learned::{Learned, Metadata};
use crate::data::dataset::Dataset;
use crate::device::cpu;
use crate::error::Result;
use crate::models::base::BaseModel;
use crate::process;
use crate::tensor::DType;

/// How the memory of a training grows with its batch.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    model: usize,
    trained: usize,
    /// Bytes for each example where the UNet's forward pass ends.
    forward: f64,
    /// Bytes where the encoder's gradients are computed: for the first example, and for each other one.
    backward: [f64; 2],
}

/// Bytes that the tensors of a training hold when most of them are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// The base model.
    pub model: usize,
    /// Values and two moments of what is trained, in f32.
    pub trained: usize,
    /// What a step adds: activations of a batch that wait for their gradients, and gradients.
    pub step: usize,
}

impl Footprint {
    /// What comes on top on the CPU: the program, and free buffers that are kept for the next tensor.
    pub fn beside_on_cpu(&self) -> usize {
        let program = process::private_bytes().map_or(0, |bytes| bytes as usize).saturating_sub(cpu::held_bytes());
        program + self.step.min(cpu::MOST_FREE_BYTES)
    }

    /// Of all tensors.
    pub fn total(&self) -> usize {
        self.model + self.trained + self.step
    }
}

impl Growth {
    /// Of a training of `learned` with its base model and activations in `dtype`, both of which are in host memory now. All training pairs are read on the
    /// way.
    ///
    /// A step holds most where the UNet's forward pass ends, or where the gradients of the encoder of masks are computed. What has been kept for the gradients by
    /// then grows with the number of examples and with their area: three steps on the CPU, of one and two examples at an eighth and at a quarter of the side,
    /// tell how, whatever the model is. They take a small part of a real step's time. With what is beside it on the CPU it foretold 6.48 GB for a model of Stable
    /// Diffusion 1.5's sizes at 256 pixels with a batch of one, and 7.89 GB with one of four; the process took 6.44 and 7.54 GB.
    ///
    /// # Errors
    /// As [`Examples::load`]; a schedule or model that cannot be trained.
    pub fn measure(base: &BaseModel, learned: &Learned, dataset: &Dataset, dtype: DType) -> Result<Self> {
        let wanted = learned.metadata.resolution;
        let unit = LEAST_CELLS * base.vae.downscale();
        let small = (wanted / 8).next_multiple_of(unit);
        let large = (wanted / 4).next_multiple_of(unit).max(small + unit);
        let of_one = Trial::new(base, learned, dataset, small, 1)?;
        let of_two = Trial::new(base, learned, dataset, small, 2)?;
        let of_larger = Trial::new(base, learned, dataset, large, 1)?;

        let area = |side: usize| (side * side) as f64;
        let kept_of_pixel = (of_larger.kept - of_one.kept) / (area(large) - area(small));
        let passing_of_pixel = (of_larger.forward - of_larger.kept) / area(large);
        // The encoder, whose pictures have one size, is trained in f32.
        let encoder = of_one.kept - kept_of_pixel * area(small);
        let narrow = dtype.bytes() as f64 / DType::F32.bytes() as f64;
        let details = &base.details;
        let frozen = [&details.text_encoder, &details.unet, &details.vae].map(|part| part.parameters.elements()).iter().sum::<usize>();
        Ok(Self {
            model: frozen * dtype.bytes(),
            trained: 3 * learned.parameters().elements() * DType::F32.bytes(),
            forward: encoder + narrow * (kept_of_pixel + passing_of_pixel) * area(wanted),
            backward: [of_one.whole, of_two.whole - of_one.whole],
        })
    }

    /// With batches of so many examples, `accumulate` of them to a step: the gradients of those before wait beside the last one.
    pub fn of_batch(&self, batch: usize, accumulate: usize) -> Footprint {
        let [first, more] = self.backward;
        let (forward, backward) = (batch as f64 * self.forward, first + (batch as f64 - 1.0) * more);
        let waiting = if accumulate > 1 { self.trained / 3 } else { 0 };
        Footprint { model: self.model, trained: self.trained, step: forward.max(backward).max(0.0) as usize + waiting }
    }
}

/// Latent cells that the side of a trial's pictures is a multiple of.
const LEAST_CELLS: usize = 4;

/// By how many bytes a small step raised what is held.
struct Trial {
    /// When the loss was there: what is kept for the gradients.
    kept: f64,
    /// At most until then.
    forward: f64,
    /// At most until the gradients were there.
    whole: f64,
}

impl Trial {
    /// A step on `count` examples of `side` pixels.
    fn new(base: &BaseModel, learned: &Learned, dataset: &Dataset, side: usize, count: usize) -> Result<Self> {
        let metadata = Metadata { resolution: side, ..learned.metadata.clone() };
        let examples = Examples::load(dataset, &metadata)?.draw("footprint", 0, 0, count);
        let inversion = Inversion::new(base, learned)?;
        learned.keeping_statistics(|| {
            let before = cpu::held_bytes();
            cpu::reset_peak_bytes();
            let loss = inversion.loss("footprint", 0, 0, &examples)?;
            let (kept, forward) = (cpu::held_bytes(), cpu::peak_bytes());
            loss.backward()?;
            let [kept, forward, whole] = [kept, forward, cpu::peak_bytes()].map(|bytes| bytes.saturating_sub(before) as f64);
            Ok(Self { kept, forward, whole })
        })
    }
}
