//! AdamW and Adam over the trainable parameters of a [`ParameterSet`]: f32 masters, moments keyed by parameter name.
//!
//! The arithmetic is that of `torch.optim.AdamW` and `torch.optim.Adam` (`_single_tensor_adamw`), element by element in f32, so the result does not
//! depend on the number of threads.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::autograd::Gradients;
use crate::error::{Result, anyhow, bail, ensure};
use crate::invalid_input;
use crate::nn::{Parameter, ParameterSet};
use crate::tensor::Tensor;

/// What happens to a trainable parameter that a step gave no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentGradient {
    /// The parameter and its moments rest, as PyTorch does with `grad = None`.
    Skip,
    /// It is treated as a zero gradient: the moments decay and the parameter keeps moving, as dense Adam does in the released program.
    Zero,
}

/// The numbers of Adam that hold for all parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWOptions {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay; the unit is "per learning rate" when decoupled.
    pub weight_decay: f64,
    /// Decay the parameter itself (AdamW) rather than add to its gradient (Adam with L2).
    pub decoupled: bool,
    /// Largest global gradient norm; larger gradients are scaled down to it.
    pub clip_norm: Option<f64>,
    /// Parameters without a gradient.
    pub absent: AbsentGradient,
}

impl Default for AdamWOptions {
    /// PyTorch's defaults for AdamW, without clipping.
    fn default() -> Self {
        let absent = AbsentGradient::Skip;
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-2, decoupled: true, clip_norm: None, absent }
    }
}

impl AdamWOptions {
    /// Adam as the released program uses it: no decay, absent types keep moving.
    pub fn official() -> Self {
        Self { weight_decay: 0.0, absent: AbsentGradient::Zero, ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                invalid_input!("{name} is {beta}, expected at least 0 and under 1");
            }
        }
        if !(self.epsilon >= 0.0 && self.weight_decay >= 0.0 && self.clip_norm.is_none_or(|norm| norm > 0.0)) {
            invalid_input!(
                "epsilon {}, weight decay {}, clip norm {:?}: expected none of them negative, and a clip norm above 0",
                self.epsilon,
                self.weight_decay,
                self.clip_norm
            );
        }
        Ok(())
    }
}

/// What a parameter has of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Multiplies the learning rate.
    pub learning_rate_factor: f64,
    /// Weight decay in place of [`AdamWOptions::weight_decay`].
    pub weight_decay: Option<f64>,
}

impl Default for Group {
    fn default() -> Self {
        Self { learning_rate_factor: 1.0, weight_decay: None }
    }
}

struct Slot {
    parameter: Parameter,
    group: Group,
    /// Shape of the parameter.
    first: Tensor,
    /// Shape of the parameter.
    second: Tensor,
    steps: i32,
}

/// The optimiser with its state.
pub struct AdamW {
    options: AdamWOptions,
    slots: BTreeMap<String, Slot>,
}

impl AdamW {
    /// An optimiser of every trainable parameter of `parameters`; one that is frozen later rests.
    ///
    /// # Errors
    /// When options are out of range, no parameter is trainable yet, or two have one name.
    pub fn new(parameters: &ParameterSet, options: AdamWOptions) -> Result<Self> {
        Self::grouped(parameters, options, |_| Group::default())
    }

    /// [`AdamW::new`] with a learning rate factor and weight decay of each parameter's own.
    pub fn grouped(parameters: &ParameterSet, options: AdamWOptions, group: impl Fn(&Parameter) -> Group) -> Result<Self> {
        options.check()?;
        let mut slots = BTreeMap::new();
        for parameter in parameters.iter().filter(|parameter| parameter.is_trainable()) {
            let zeros = || Tensor::zeros(parameter.value().shape());
            let slot = Slot { parameter: parameter.clone(), group: group(parameter), first: zeros(), second: zeros(), steps: 0 };
            if slots.insert(parameter.name().to_owned(), slot).is_some() {
                bail!("two parameters of one optimiser are called {}", parameter.name());
            }
        }
        ensure!(!slots.is_empty(), "the optimiser has no trainable parameter; set_trainable comes first");
        Ok(Self { options, slots })
    }

    /// Moves every parameter by one step. `scale` multiplies the gradients first (1 / number of accumulated batches). Returns the global norm of
    /// the scaled gradients before clipping.
    ///
    /// # Errors
    /// When a gradient is not finite; nothing has changed then.
    pub fn step(&mut self, gradients: &Gradients, learning_rate: f64, scale: f32) -> Result<f64> {
        let norm = self.norm(gradients, scale)?;
        let clip = self.options.clip_norm.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        let scale = scale * clip as f32;
        for slot in self.slots.values_mut() {
            let gradient = gradients.by_id(slot.parameter.id());
            if !slot.parameter.is_trainable() || (gradient.is_none() && self.options.absent == AbsentGradient::Skip) {
                continue;
            }
            slot.step(&self.options, gradient.map(Tensor::f32s).transpose()?, learning_rate, scale)?;
        }
        Ok(norm)
    }

    /// Global norm, summed in f64 in the order of names.
    fn norm(&self, gradients: &Gradients, scale: f32) -> Result<f64> {
        let mut total = 0.0;
        for slot in self.slots.values() {
            let Some(gradient) = gradients.by_id(slot.parameter.id()) else { continue };
            let name = slot.parameter.name();
            let (found, expected) = (gradient.shape(), slot.first.shape());
            ensure!(found == expected, "the gradient of {name} has shape {found:?}, expected {expected:?}");
            let elements = gradient.f32s()?;
            let sums: Vec<f64> = elements.par_chunks(CHUNK).map(|chunk| chunk.iter().map(|&x| f64::from(x) * f64::from(x)).sum()).collect();
            let sum: f64 = sums.iter().sum();
            if !sum.is_finite() {
                let bad = elements.iter().filter(|x| !x.is_finite()).count();
                bail!("the gradient of {name} {expected:?} is not finite in {bad} of {} elements", elements.len());
            }
            total += sum;
        }
        Ok(total.sqrt() * f64::from(scale))
    }

    /// The state as named tensors, for a checkpoint: `first_moment.NAME`, `second_moment.NAME`, `steps.NAME`.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = Vec::with_capacity(3 * self.slots.len());
        for (name, slot) in &self.slots {
            state.push((format!("first_moment.{name}"), slot.first.clone()));
            state.push((format!("second_moment.{name}"), slot.second.clone()));
            state.push((format!("steps.{name}"), Tensor::from_i32(vec![slot.steps], &[])?));
        }
        Ok(state)
    }

    /// Takes the state back; `fetch` gives the tensor of a name with a given shape.
    pub fn restore(&mut self, mut fetch: impl FnMut(&str, &[usize]) -> Result<Tensor>) -> Result<()> {
        for (name, slot) in &mut self.slots {
            let shape = slot.first.shape().to_vec();
            slot.first = fetch(&format!("first_moment.{name}"), &shape)?;
            slot.second = fetch(&format!("second_moment.{name}"), &shape)?;
            slot.steps = fetch(&format!("steps.{name}"), &[])?.i32s()?[0];
        }
        Ok(())
    }
}

/// Elements that one task of the thread pool works on; also the unit of the fixed order of sums.
const CHUNK: usize = 1 << 15;

/// A step's numbers, in the precision in which PyTorch's kernels take them.
struct Coefficients {
    keep: f32,
    coupled_decay: f32,
    scale: f32,
    beta2: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    root_correction: f32,
    epsilon: f32,
    step: f32,
}

impl Slot {
    fn step(&mut self, options: &AdamWOptions, gradient: Option<Cow<'_, [f32]>>, learning_rate: f64, scale: f32) -> Result<()> {
        self.steps += 1;
        let rate = learning_rate * self.group.learning_rate_factor;
        let decay = self.group.weight_decay.unwrap_or(options.weight_decay);
        let coefficients = Coefficients {
            keep: if options.decoupled { (1.0 - rate * decay) as f32 } else { 1.0 },
            coupled_decay: if options.decoupled { 0.0 } else { decay as f32 },
            scale,
            beta2: options.beta2 as f32,
            one_minus_beta1: (1.0 - options.beta1) as f32,
            one_minus_beta2: (1.0 - options.beta2) as f32,
            root_correction: (1.0 - options.beta2.powi(self.steps)).sqrt() as f32,
            epsilon: options.epsilon as f32,
            step: (-rate / (1.0 - options.beta1.powi(self.steps))) as f32,
        };
        let zeros = gradient.is_none().then(|| vec![0.0; self.first.elements().min(CHUNK)]);
        let (first, second) = (elements_mut(&mut self.first)?, elements_mut(&mut self.second)?);
        self.parameter.update(|values| {
            let chunks = values.par_chunks_mut(CHUNK).zip(first.par_chunks_mut(CHUNK)).zip(second.par_chunks_mut(CHUNK));
            match (&gradient, &zeros) {
                (Some(gradient), _) => {
                    chunks.zip(gradient.par_chunks(CHUNK)).for_each(|(((value, first), second), gradient)| {
                        coefficients.apply(value, first, second, gradient);
                    });
                }
                (None, zeros) => {
                    let zeros = zeros.as_deref().unwrap_or_default();
                    chunks.for_each(|((value, first), second)| coefficients.apply(value, first, second, &zeros[..first.len()]));
                }
            }
        })
    }
}

impl Coefficients {
    fn apply(&self, values: &mut [f32], first: &mut [f32], second: &mut [f32], gradients: &[f32]) {
        for (((value, first), second), gradient) in values.iter_mut().zip(first).zip(second).zip(gradients) {
            let gradient = gradient * self.scale + self.coupled_decay * *value;
            *first += self.one_minus_beta1 * (gradient - *first);
            *second = *second * self.beta2 + self.one_minus_beta2 * gradient * gradient;
            let denominator = second.sqrt() / self.root_correction + self.epsilon;
            *value = *value * self.keep + self.step * *first / denominator;
        }
    }
}

/// The elements of a moment; copied first when a checkpoint still holds them.
fn elements_mut(moment: &mut Tensor) -> Result<&mut [f32]> {
    if moment.f32s_mut().is_none() {
        *moment = Tensor::from_f32(moment.to_f32_vec()?, moment.shape())?;
    }
    moment.f32s_mut().ok_or_else(|| anyhow!("an optimiser moment is not f32"))
}
