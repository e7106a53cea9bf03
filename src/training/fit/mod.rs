//! The loop that every training here runs in: steps, accumulation, log, validation, checkpoints, signals, resume.
//!
//! A run that is interrupted, or killed, and gone on with leaves the same bytes (checkpoint and log) as one that was not, provided that a task's
//! loss depends on the parameters, the step and the part alone: data order and noise come from [`crate::tensor::random`], keyed by the step.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Instant;

use crate::autograd::{Gradients, Var};
use crate::error::{Context, Error, Interrupted, Result, anyhow};
use crate::nn::Parameter;
use crate::tensor::Tensor;
use crate::training::checkpoint::Identity;
use crate::training::progress::{Progress, note};
use crate::training::recorder::Recorder;
use crate::training::schedule::Schedule;
use crate::training::signals;
use crate::training::state::{State, statistics};
use crate::{files, input_error, invalid_input};

/// What is trained: gives losses, and looks at the results now and then.
pub trait Task {
    /// The loss of part `part` (0 .. accumulate) of the batch of step `step`, counted from 0. The mean over the parts is minimised.
    fn loss(&mut self, step: u64, part: usize) -> Result<Loss>;

    /// Looks at the model after `step` steps; the moving average is in it where there is one. What is recorded counts only when this succeeds. A long
    /// validation asks [`signals::interruption`] now and then and returns that error: it is done again on resume.
    fn validate(&mut self, step: u64, recorder: &mut Recorder) -> Result<()> {
        let _ = (step, recorder);
        Ok(())
    }

    /// The base model's damaged weight ([`crate::models::base::BaseModel::damaged_weight`]), asked when a loss is not finite; `None` without a base model.
    fn damaged_weight(&self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// A loss to minimise, and what else to log.
pub struct Loss {
    /// Shape `[]`.
    pub value: Var,
    /// Named numbers for the log, in order.
    pub metrics: Vec<(&'static str, f64)>,
}

impl From<Var> for Loss {
    fn from(value: Var) -> Self {
        Self { value, metrics: Vec::new() }
    }
}

/// How long, how fast and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the progress line calls the run.
    pub label: String,
    /// Optimiser steps in all.
    pub steps: u64,
    /// Parts of a batch whose gradients are averaged.
    pub accumulate: usize,
    /// The learning rate.
    pub schedule: Schedule,
    /// Steps between checkpoints; 0: only at the end and on signals.
    pub checkpoint_every: u64,
    /// Steps between validations, one more at the end; 0: never.
    pub validate_every: u64,
    /// Steps between lines of the log, which hold means since the last.
    pub log_every: u64,
}

impl Plan {
    /// `steps` steps of `schedule`; a checkpoint every 500 steps, a line every 10, no validation.
    pub fn new(label: impl Into<String>, steps: u64, schedule: Schedule) -> Self {
        Self { label: label.into(), steps, accumulate: 1, schedule, checkpoint_every: 500, validate_every: 0, log_every: 10 }
    }

    fn check(&self) -> Result<()> {
        if self.steps == 0 || self.accumulate == 0 || self.log_every == 0 {
            let Self { steps, accumulate, log_every, .. } = self;
            invalid_input!("steps {steps}, accumulation {accumulate}, log interval {log_every}: expected each at least 1");
        }
        self.schedule.check()
    }
}

/// What [`fit`] did.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps that this process did.
    pub steps_here: u64,
    /// Time that this process took, in seconds.
    pub seconds: f64,
    /// Loss of the last step; `None` when nothing was left to do.
    pub loss: Option<f64>,
}

/// Trains until `plan.steps` steps are done, going on from `folder`'s checkpoint where there is one.
///
/// # Errors
/// [`Interrupted`] after a signal, with the state saved. A loss, gradient or parameter that is not finite ends the run and keeps the last good
/// checkpoint. A damaged base model, a checkpoint of another run, an unwritable or full disk: exit code 2.
pub fn fit(folder: &Path, identity: &Identity, plan: &Plan, state: &mut State, task: &mut dyn Task) -> Result<Summary> {
    plan.check()?;
    signals::install()?;
    files::create_folder(folder)?;
    files::remove_temporaries(folder)?;
    let saved = state.restore(folder, identity)?.then_some(state.step);
    if let Some(step) = saved {
        note(&format!("{}: going on from step {step} of {}", plan.label, plan.steps));
    }
    let recorder = Recorder::open(folder, state.step)?;
    let progress = Progress::new(plan.label.as_str(), "step", plan.steps, state.step);
    let (first, start) = (state.step, Instant::now());
    let mut run = Run { folder, identity, plan, state, task, recorder, progress, saved, last_loss: None, shown_loss: None };
    run.train()?;
    let loss = run.last_loss;
    run.progress.finish();
    Ok(Summary { steps: state.step, steps_here: state.step - first, seconds: start.elapsed().as_secs_f64(), loss })
}

struct Run<'a> {
    folder: &'a Path,
    identity: &'a Identity,
    plan: &'a Plan,
    state: &'a mut State,
    task: &'a mut dyn Task,
    recorder: Recorder,
    progress: Progress,
    /// Step of the newest checkpoint.
    saved: Option<u64>,
    last_loss: Option<f64>,
    /// Smoothed, for the eye only.
    shown_loss: Option<f64>,
}

impl Run<'_> {
    fn train(&mut self) -> Result<()> {
        if self.state.validation_due {
            self.validate()?;
            self.save_when_due()?;
        }
        while self.state.step < self.plan.steps {
            self.stop_on_signal()?;
            self.step().map_err(|error| self.with_last_good(error))?;
            let (step, plan) = (self.state.step, self.plan);
            let last = step == plan.steps;
            if step.is_multiple_of(plan.log_every) || last {
                self.log()?;
            }
            if plan.validate_every > 0 && (step.is_multiple_of(plan.validate_every) || last) {
                self.validate()?;
            }
            self.save_when_due()?;
        }
        Ok(())
    }

    /// One optimiser step: all parts forward and backward, then the parameters move.
    fn step(&mut self) -> Result<()> {
        let before = statistics_before(self.state);
        let (mut gradients, mut losses) = (Gradients::default(), Vec::with_capacity(self.plan.accumulate));
        let index = self.state.step;
        for part in 0..self.plan.accumulate {
            if part > 0 && signals::interrupted().is_some() {
                // As if the step had not begun: batch normalisation has moved its statistics already.
                before.into_iter().try_for_each(|(parameter, value)| parameter.set(value))?;
                return self.stop_on_signal();
            }
            let loss = self.task.loss(index, part)?;
            let value = f64::from(loss.value.item().context("a task's loss is one number")?);
            if !value.is_finite() {
                return Err(self.not_finite(value, part, &loss.metrics)?);
            }
            gradients.accumulate(loss.value.backward()?)?;
            losses.push((value, loss.metrics));
        }
        let rate = self.plan.schedule.rate(index);
        let scale = 1.0 / self.plan.accumulate as f32;
        let norm = match self.state.optimiser.step(&gradients, rate, scale) {
            Ok(norm) => norm,
            Err(error) => return Err(error.context(format!("step {}: {}", index + 1, statistics(&self.state.parameters)?))),
        };
        self.state.step += 1;
        if let Some(ema) = &mut self.state.ema {
            ema.update(index)?;
        }
        self.note_losses(&losses, norm, rate);
        Ok(())
    }

    fn note_losses(&mut self, losses: &[(f64, Vec<(&'static str, f64)>)], norm: f64, rate: f64) {
        for (loss, metrics) in losses {
            self.state.means.add("loss", *loss);
            metrics.iter().for_each(|(name, value)| self.state.means.add(name, *value));
        }
        self.state.means.add("gradient_norm", norm);
        self.state.means.add("learning_rate", rate);
        let loss = losses.iter().map(|(loss, _)| loss).sum::<f64>() / losses.len() as f64;
        let shown = self.shown_loss.map_or(loss, |shown| shown + 0.05 * (loss - shown));
        (self.last_loss, self.shown_loss) = (Some(loss), Some(shown));
        self.progress.update(self.state.step, &format!("loss {shown:.4}"));
    }

    fn log(&mut self) -> Result<()> {
        let (step, values) = (self.state.step, self.state.means.take());
        self.recorder.scalars(step, "train", values);
        if let Some(rate) = self.progress.rate() {
            self.recorder.timing(step, "speed/steps_per_second", rate);
        }
        self.recorder.commit()
    }

    fn validate(&mut self) -> Result<()> {
        let (step, task, recorder) = (self.state.step, &mut *self.task, &mut self.recorder);
        let outcome = match &mut self.state.ema {
            Some(ema) => ema.during(|| task.validate(step, recorder)),
            None => task.validate(step, recorder),
        };
        match outcome {
            Ok(()) => self.recorder.commit()?,
            Err(error) if is_interruption(&error) => {
                self.recorder.discard();
                self.state.validation_due = true;
                self.save()?;
                return Err(error);
            }
            Err(error) => return Err(error.context(format!("validation after step {step}"))),
        }
        self.state.validation_due = false;
        Ok(())
    }

    fn save_when_due(&mut self) -> Result<()> {
        let (step, plan) = (self.state.step, self.plan);
        if step == plan.steps || (plan.checkpoint_every > 0 && step.is_multiple_of(plan.checkpoint_every)) {
            self.save()?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        self.recorder.sync()?;
        self.state.save(self.folder, self.identity).map_err(|error| self.with_last_good(error))?;
        self.saved = Some(self.state.step);
        Ok(())
    }

    /// Saves and ends when a signal has come.
    fn stop_on_signal(&mut self) -> Result<()> {
        let Some(interruption) = signals::interruption() else { return Ok(()) };
        if self.saved != Some(self.state.step) {
            self.save()?;
        }
        Err(interruption)
    }

    fn not_finite(&self, loss: f64, part: usize, metrics: &[(&'static str, f64)]) -> Result<Error> {
        let (step, parts, rate) = (self.state.step + 1, self.plan.accumulate, self.plan.schedule.rate(self.state.step));
        let metrics: String = metrics.iter().map(|(name, value)| format!(", {name} {value}")).collect();
        let before = self.last_loss.map_or_else(|| "it is the first".to_owned(), |loss| format!("the last one was {loss:.4e}"));
        let found = format!("the loss of step {step} (part {} of {parts}) is {loss}{metrics}; {before}", part + 1);
        if let Some(damaged) = self.task.damaged_weight()? {
            return Ok(input_error!("{found}; {damaged}: the base model is damaged; copy or download it again, or give another with --model"));
        }
        let statistics = statistics(&self.state.parameters)?;
        if self.state.step == 0 {
            return Ok(anyhow!(
                "{found}; {statistics}; nothing has been learned yet, so the learning rate is not the cause: a number on the way was too large for its \
                 element type; try --dtype f32, or look at the data with `anodiff check`"
            ));
        }
        Ok(anyhow!("{found}; learning rate {rate:.3e}; {statistics}; try a lower learning rate or a smaller clip norm"))
    }

    /// Says from where an ended run can go on; an interruption says so itself.
    fn with_last_good(&self, error: Error) -> Error {
        if is_interruption(&error) {
            return error;
        }
        let label = &self.plan.label;
        error.context(match self.saved {
            Some(step) => format!("{label} stopped; the last good checkpoint, of step {step}, is kept in {}", self.folder.display()),
            None => format!("{label} stopped before its first checkpoint"),
        })
    }
}

fn is_interruption(error: &Error) -> bool {
    error.chain().any(|cause| cause.is::<Interrupted>())
}

/// Values that forward passes move: everything that is not trained. Cheap: tensors share their elements until one changes.
fn statistics_before(state: &State) -> Vec<(Parameter, Tensor)> {
    state.parameters.iter().filter(|parameter| !parameter.is_trainable()).map(|parameter| (parameter.clone(), parameter.value())).collect()
}
