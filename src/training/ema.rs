//! Exponential moving average of a model's parameters: smoother than any single step, and what a pretraining run publishes.

use std::collections::BTreeMap;

use crate::error::{Result, bail, ensure};
use crate::nn::{Parameter, ParameterSet};
use crate::ops;
use crate::tensor::Tensor;

/// The average of every parameter, running statistics included.
pub struct Ema {
    decay: f64,
    averages: Vec<(Parameter, Tensor)>,
}

impl Ema {
    /// Starts from the present values. `decay` is what stays of the average at a step, under 1; typical 0.999 to 0.9999.
    ///
    /// # Errors
    /// When `decay` is out of range or two parameters have one name.
    pub fn new(parameters: &ParameterSet, decay: f64) -> Result<Self> {
        ensure!((0.0..1.0).contains(&decay), "the decay of the moving average is {decay}, expected at least 0 and under 1");
        let mut names = BTreeMap::new();
        let mut averages = Vec::with_capacity(parameters.len());
        for parameter in parameters.iter() {
            if names.insert(parameter.name().to_owned(), ()).is_some() {
                bail!("two averaged parameters are called {}", parameter.name());
            }
            averages.push((parameter.clone(), parameter.value()));
        }
        Ok(Self { decay, averages })
    }

    /// Takes in the values after optimiser step `step`, counted from 0. Early steps weigh more: the decay is at most (1 + step) / (10 + step), so
    /// that the random start is soon forgotten (as `EMAModel` of diffusers and the moving average of TensorFlow).
    pub fn update(&mut self, step: u64) -> Result<()> {
        let decay = self.decay.min((1 + step) as f64 / (10 + step) as f64);
        let share = (1.0 - decay) as f32;
        let pairs: Vec<_> = self.averages.iter().map(|(parameter, average)| (average.clone(), parameter.value())).collect();
        for ((_, average), moved) in self.averages.iter_mut().zip(ops::adamw::moving_averages(&pairs, share)?) {
            *average = moved;
        }
        Ok(())
    }

    /// Runs `work` with the averages in the model, then puts the trained values back, also when `work` fails.
    pub fn during<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.swap()?;
        let outcome = work();
        self.swap()?;
        outcome
    }

    /// Exchanges the averages and the model's values.
    fn swap(&mut self) -> Result<()> {
        for (parameter, average) in &mut self.averages {
            let value = parameter.value();
            parameter.set(std::mem::replace(average, value))?;
        }
        Ok(())
    }

    /// The averages as named tensors, for a checkpoint: `average.NAME`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.averages.iter().map(|(parameter, average)| (format!("average.{}", parameter.name()), average.clone())).collect()
    }

    /// Takes the averages back; `fetch` gives the tensor of a name with a given shape.
    pub fn restore(&mut self, mut fetch: impl FnMut(&str, &[usize]) -> Result<Tensor>) -> Result<()> {
        for (parameter, average) in &mut self.averages {
            *average = fetch(&format!("average.{}", parameter.name()), average.shape())?.to_device(average.device())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Layout;

    fn model() -> (Parameter, ParameterSet) {
        let parameter = Parameter::new("a".to_owned(), Tensor::from_f32(vec![1.0, 2.0], &[2]).unwrap(), Layout::Plain);
        (parameter.clone(), ParameterSet::new(vec![parameter]))
    }

    fn average(ema: &Ema) -> Vec<f32> {
        ema.state()[0].1.to_f32_vec().unwrap()
    }

    #[test]
    fn averages_by_hand() {
        let (parameter, set) = model();
        let mut ema = Ema::new(&set, 0.5).unwrap();
        parameter.set(Tensor::from_f32(vec![3.0, 2.0], &[2]).unwrap()).unwrap();
        ema.update(0).unwrap(); // decay 0.1
        assert_eq!(average(&ema), [1.0 + 0.9 * 2.0, 2.0]);
        ema.update(1_000).unwrap(); // decay 0.5
        assert_eq!(average(&ema), [2.9, 2.0]);
    }

    #[test]
    fn the_model_has_the_averages_only_meanwhile() {
        let (parameter, set) = model();
        let mut ema = Ema::new(&set, 0.9).unwrap();
        parameter.set(Tensor::from_f32(vec![5.0, 5.0], &[2]).unwrap()).unwrap();
        let failed: Result<()> = ema.during(|| {
            assert_eq!(parameter.value().to_f32_vec().unwrap(), [1.0, 2.0]);
            bail!("validation failed")
        });
        assert!(failed.is_err());
        assert_eq!(parameter.value().to_f32_vec().unwrap(), [5.0, 5.0]);
        assert_eq!(average(&ema), [1.0, 2.0]);
    }

    #[test]
    fn bad_decay_and_equal_names_are_refused() {
        let (parameter, set) = model();
        assert!(Ema::new(&set, 1.0).is_err());
        assert!(Ema::new(&set, f64::NAN).is_err());
        assert!(Ema::new(&ParameterSet::new(vec![parameter.clone(), parameter]), 0.9).is_err());
    }
}
