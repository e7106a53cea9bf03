//! AdamW and Adam over the trainable parameters of a [`ParameterSet`]: f32 masters, moments keyed by parameter name.
//!
//! The arithmetic is that of `torch.optim.AdamW` and `torch.optim.Adam` (`_single_tensor_adamw`), element by element in f32, so the result does not
//! depend on the number of threads.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::autograd::Gradients;
use crate::device::Device;
use crate::error::{Result, anyhow, bail, ensure};
use crate::invalid_input;
use crate::nn::{Parameter, ParameterSet};
use crate::ops;
use crate::ops::adamw::{Common, Own};
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
            let zeros = || Tensor::zeros(parameter.value().shape()).to_device(parameter.value().device());
            let slot = Slot { parameter: parameter.clone(), group: group(parameter), first: zeros()?, second: zeros()?, steps: 0 };
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
        let common = self.options.common(scale * clip as f32);
        let skips = self.options.absent == AbsentGradient::Skip;
        let (mut slots, mut parameters) = (Vec::new(), Vec::new());
        for slot in self.slots.values_mut() {
            let gradient = gradients.by_id(slot.parameter.id());
            if !slot.parameter.is_trainable() || (gradient.is_none() && skips) {
                continue;
            }
            slot.steps += 1;
            let own = slot.own(&self.options, learning_rate);
            if slot.first.device() == Device::Cpu {
                slot.step_in_place(&common, &own, gradient)?;
                continue;
            }
            let (value, first, second) = (slot.parameter.value(), slot.first.clone(), slot.second.clone());
            parameters.push(ops::adamw::Parameter { value, first, second, gradient: gradient.cloned(), own });
            slots.push(slot);
        }
        for (slot, moved) in slots.into_iter().zip(ops::adamw::adamw(&parameters, &common)?) {
            (slot.first, slot.second) = (moved.first, moved.second);
            slot.parameter.set(moved.value)?;
        }
        Ok(norm)
    }

    /// Global norm, summed in f64 in the order of names.
    fn norm(&self, gradients: &Gradients, scale: f32) -> Result<f64> {
        let found: Vec<(&Slot, &Tensor)> = self.slots.values().filter_map(|slot| Some((slot, gradients.by_id(slot.parameter.id())?))).collect();
        for (slot, gradient) in &found {
            let (found, expected) = (gradient.shape(), slot.first.shape());
            ensure!(found == expected, "the gradient of {} has shape {found:?}, expected {expected:?}", slot.parameter.name());
        }
        let sums = ops::adamw::square_sums(&found.iter().map(|(_, gradient)| (*gradient).clone()).collect::<Vec<_>>())?;
        let mut total = 0.0;
        for ((slot, gradient), mut sum) in found.into_iter().zip(sums) {
            if !sum.is_finite() {
                let elements = gradient.to_f32_vec()?;
                let bad = elements.iter().filter(|x| !x.is_finite()).count();
                if bad > 0 {
                    bail!("the gradient of {} {:?} is not finite in {bad} of {} elements", slot.parameter.name(), gradient.shape(), elements.len());
                }
                // Large enough to overflow f32 when squared.
                sum = elements.iter().map(|&x| f64::from(x).powi(2)).sum();
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
            slot.first = fetch(&format!("first_moment.{name}"), &shape)?.to_device(slot.first.device())?;
            slot.second = fetch(&format!("second_moment.{name}"), &shape)?.to_device(slot.second.device())?;
            slot.steps = fetch(&format!("steps.{name}"), &[])?.i32s()?[0];
        }
        Ok(())
    }
}

impl AdamWOptions {
    fn common(&self, scale: f32) -> Common {
        Common {
            scale,
            beta2: self.beta2 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            epsilon: self.epsilon as f32,
        }
    }
}

impl Slot {
    /// The numbers of the step that begins.
    fn own(&self, options: &AdamWOptions, learning_rate: f64) -> Own {
        let rate = learning_rate * self.group.learning_rate_factor;
        let decay = self.group.weight_decay.unwrap_or(options.weight_decay);
        Own {
            keep: if options.decoupled { (1.0 - rate * decay) as f32 } else { 1.0 },
            decay: if options.decoupled { 0.0 } else { decay as f32 },
            correction: (1.0 - options.beta2.powi(self.steps)).sqrt() as f32,
            step: (-rate / (1.0 - options.beta1.powi(self.steps))) as f32,
        }
    }

    /// In host memory nothing need be allocated.
    fn step_in_place(&mut self, common: &Common, own: &Own, gradient: Option<&Tensor>) -> Result<()> {
        let gradient = gradient.map(Tensor::f32s).transpose()?;
        let (first, second) = (elements_mut(&mut self.first)?, elements_mut(&mut self.second)?);
        self.parameter.update(|values| ops::adamw::apply(common, own, values, first, second, gradient.as_deref()))
    }
}

/// The elements of a moment; copied first when a checkpoint still holds them.
fn elements_mut(moment: &mut Tensor) -> Result<&mut [f32]> {
    if moment.f32s_mut().is_none() {
        *moment = Tensor::from_f32(moment.to_f32_vec()?, moment.shape())?;
    }
    moment.f32s_mut().ok_or_else(|| anyhow!("an optimiser moment is not f32"))
}
