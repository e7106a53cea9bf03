//! What a run has come to: everything that a checkpoint holds.

use std::collections::BTreeMap;
use std::path::Path;

use crate::device::Device;
use crate::error::{Context, Result, bail};
use crate::nn::ParameterSet;
use crate::tensor::Tensor;
use crate::training::adamw::AdamW;
use crate::training::checkpoint::{Checkpoint, Identity};
use crate::training::ema::Ema;

/// A model in training. Random numbers need no state: they are keyed by the step.
pub struct State {
    /// Everything that is saved: trained parameters and running statistics.
    pub parameters: ParameterSet,
    /// The optimiser.
    pub optimiser: AdamW,
    /// The moving average, where there is one.
    pub ema: Option<Ema>,
    /// Optimiser steps done.
    pub(super) step: u64,
    /// Sums since the last line of the log.
    pub(super) means: Means,
    /// Whether the validation of this step was interrupted and has to be done again.
    pub(super) validation_due: bool,
}

impl State {
    /// A run that has not begun.
    pub fn new(parameters: ParameterSet, optimiser: AdamW, ema: Option<Ema>) -> Self {
        Self { parameters, optimiser, ema, step: 0, means: Means::default(), validation_due: false }
    }

    /// Optimiser steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Saves a checkpoint into `folder`.
    ///
    /// # Errors
    /// When a value is not finite (the last good checkpoint is kept), or as [`Checkpoint::save`].
    pub fn save(&self, folder: &Path, identity: &Identity) -> Result<()> {
        let mut tensors = Vec::new();
        for parameter in self.parameters.iter() {
            let value = parameter.value().to_device(Device::Cpu)?;
            if let Some(bad) = not_finite(&value)? {
                bail!("{} is not finite in {bad} of {} elements after step {}", parameter.name(), value.elements(), self.step);
            }
            tensors.push((format!("parameter.{}", parameter.name()), value));
        }
        tensors.extend(self.optimiser.state()?);
        tensors.extend(self.ema.iter().flat_map(Ema::state));
        let notes = BTreeMap::from([("means".to_owned(), self.means.to_text()?), ("validation_due".to_owned(), self.validation_due.to_string())]);
        Checkpoint { step: self.step, identity: identity.clone(), notes, tensors }.save(folder)
    }

    /// Takes the newest valid checkpoint of `folder` back; false when there is none.
    ///
    /// # Errors
    /// When the checkpoint belongs to another run, naming field, expected and found, or as [`Checkpoint::load`] (exit code 2).
    pub fn restore(&mut self, folder: &Path, identity: &Identity) -> Result<bool> {
        let Some(checkpoint) = Checkpoint::load(folder)? else { return Ok(false) };
        identity.check(&checkpoint.identity)?;
        self.step = checkpoint.step;
        let note = |name: &str| checkpoint.notes.get(name).with_context(|| format!("the checkpoint has no note {name}"));
        self.means = Means::from_text(note("means")?)?;
        self.validation_due = note("validation_due")? == "true";
        let mut tensors = checkpoint.into_tensors();
        for parameter in self.parameters.iter() {
            parameter.set(tensors.take(&format!("parameter.{}", parameter.name()), parameter.value().shape())?)?;
        }
        self.optimiser.restore(|name, shape| tensors.take(name, shape))?;
        if let Some(ema) = &mut self.ema {
            ema.restore(|name, shape| tensors.take(name, shape))?;
        }
        tensors.finish()?;
        Ok(true)
    }
}

/// How many elements are not finite; `None` when all are.
fn not_finite(tensor: &Tensor) -> Result<Option<usize>> {
    let bad = tensor.to_device(Device::Cpu)?.f32s()?.iter().filter(|x| !x.is_finite()).count();
    Ok((bad > 0).then_some(bad))
}

/// What is worth knowing about a model whose numbers went wrong.
pub(super) fn statistics(parameters: &ParameterSet) -> Result<String> {
    let (mut largest, mut at, mut bad) = (0.0, String::new(), Vec::new());
    for parameter in parameters.iter() {
        let value = parameter.value().to_device(Device::Cpu)?;
        if not_finite(&value)?.is_some() {
            bad.push(parameter.name().to_owned());
        }
        let most = value.f32s()?.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        if most > largest {
            (largest, at) = (most, parameter.name().to_owned());
        }
    }
    let bad = if bad.is_empty() { "all trained parameters are finite".to_owned() } else { format!("not finite: {}", bad.join(", ")) };
    Ok(format!("{bad}; the largest magnitude is {largest:.3e}, in {at}"))
}

/// Means of named numbers since the last line of the log, in order of appearance.
#[derive(Default)]
pub(super) struct Means {
    sums: Vec<(String, f64, u64)>,
}

impl Means {
    pub(super) fn add(&mut self, name: &str, value: f64) {
        match self.sums.iter_mut().find(|(known, ..)| known == name) {
            Some((_, sum, count)) => {
                *sum += value;
                *count += 1;
            }
            None => self.sums.push((name.to_owned(), value, 1)),
        }
    }

    pub(super) fn take(&mut self) -> Vec<(String, f64)> {
        self.sums.drain(..).map(|(name, sum, count)| (name, sum / count as f64)).collect()
    }

    /// Bits rather than digits, so that nothing is lost.
    fn to_text(&self) -> Result<String> {
        let rows: Vec<(&str, u64, u64)> = self.sums.iter().map(|(name, sum, count)| (name.as_str(), sum.to_bits(), *count)).collect();
        Ok(serde_json::to_string(&rows)?)
    }

    fn from_text(text: &str) -> Result<Self> {
        let rows: Vec<(String, u64, u64)> = serde_json::from_str(text)?;
        Ok(Self { sums: rows.into_iter().map(|(name, bits, count)| (name, f64::from_bits(bits), count)).collect() })
    }
}
