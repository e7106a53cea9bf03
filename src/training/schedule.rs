//! Learning rates over the steps of a run.

use std::f64::consts::PI;

use crate::error::Result;
use crate::invalid_input;

/// The learning rate as a function of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// The same at every step.
    Constant {
        /// Learning rate.
        rate: f64,
    },
    /// A linear rise from `rate / warm_up` to `rate` over the first `warm_up` steps, then half a cosine down to `last` at step `steps`.
    WarmUpCosine {
        /// The highest learning rate.
        rate: f64,
        /// Steps of the linear rise; 0 starts at `rate`.
        warm_up: u64,
        /// Length of the run in steps.
        steps: u64,
        /// Learning rate at and after the end.
        last: f64,
    },
    /// A linear rise, then `rate`, then a linear fall to 0 over the last `decay` of `steps` steps (Hägele et al. 2024). Unlike with a cosine, a run may be
    /// made longer or shorter until its fall begins.
    HoldThenDecay {
        /// The highest learning rate.
        rate: f64,
        /// Steps of the rise.
        warm_up: u64,
        /// Length of the run in steps.
        steps: u64,
        /// Steps of the fall.
        decay: u64,
    },
    /// `rate`, multiplied by `factor` at each of two steps: PyTorch's `MultiStepLR`.
    TwoFalls {
        /// The learning rate of the first step.
        rate: f64,
        /// What it is multiplied by.
        factor: f64,
        /// The first steps with the lower rates.
        at: [u64; 2],
    },
}

impl Schedule {
    /// The learning rate of optimiser step `step`, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        match *self {
            Self::Constant { rate } => rate,
            Self::TwoFalls { rate, factor, at } => at.into_iter().filter(|&fall| step >= fall).fold(rate, |rate, _| rate * factor),
            Self::WarmUpCosine { rate, warm_up, .. } | Self::HoldThenDecay { rate, warm_up, .. } if step < warm_up => {
                rate * (step + 1) as f64 / warm_up as f64
            }
            Self::HoldThenDecay { rate, steps, decay, .. } => rate * (steps.saturating_sub(step) as f64 / decay.max(1) as f64).min(1.0),
            Self::WarmUpCosine { rate, warm_up, steps, last } => {
                let length = steps.saturating_sub(warm_up).max(1);
                let position = ((step - warm_up) as f64 / length as f64).min(1.0);
                last + (rate - last) * 0.5 * (1.0 + (PI * position).cos())
            }
        }
    }

    /// Refuses rates that are negative or not finite.
    pub fn check(&self) -> Result<()> {
        let rates = match *self {
            Self::Constant { rate } | Self::HoldThenDecay { rate, .. } => [rate, rate],
            Self::TwoFalls { rate, factor, .. } => [rate, factor],
            Self::WarmUpCosine { rate, last, .. } => [rate, last],
        };
        for rate in rates {
            if !(rate.is_finite() && rate >= 0.0) {
                invalid_input!("learning rate {rate}: expected a finite number of at least 0");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_is_constant() {
        let schedule = Schedule::Constant { rate: 0.02 };
        assert_eq!([schedule.rate(0), schedule.rate(1_000_000)], [0.02, 0.02]);
    }

    #[test]
    fn warm_up_rises_and_cosine_falls() {
        let schedule = Schedule::WarmUpCosine { rate: 1.0, warm_up: 4, steps: 104, last: 0.1 };
        assert_eq!([0, 1, 2, 3].map(|step| schedule.rate(step)), [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(schedule.rate(4), 1.0);
        assert!((schedule.rate(54) - 0.55).abs() < 1e-12, "half way");
        assert!((schedule.rate(104) - 0.1).abs() < 1e-12);
        assert!((schedule.rate(1_000) - 0.1).abs() < 1e-12, "stays at the end");
    }

    #[test]
    fn hold_then_decay_depends_on_the_length_only_at_the_end() {
        let schedule = |steps| Schedule::HoldThenDecay { rate: 1.0, warm_up: 4, steps, decay: 10 };
        assert_eq!([0, 3, 4, 90].map(|step| schedule(100).rate(step)), [0.25, 1.0, 1.0, 1.0]);
        assert_eq!(schedule(100).rate(95), 0.5);
        assert_eq!([100, 200].map(|step| schedule(100).rate(step)), [0.0, 0.0]);
        assert!((0..90).all(|step| schedule(100).rate(step) == schedule(500).rate(step)));
    }

    #[test]
    fn two_falls_multiply() {
        let schedule = Schedule::TwoFalls { rate: 1.0, factor: 0.5, at: [8, 9] };
        assert_eq!([0, 7, 8, 9, 100].map(|step| schedule.rate(step)), [1.0, 1.0, 0.5, 0.25, 0.25]);
    }

    #[test]
    fn a_warm_up_as_long_as_the_run_does_not_divide_by_zero() {
        let schedule = Schedule::WarmUpCosine { rate: 1.0, warm_up: 5, steps: 5, last: 0.0 };
        assert!((0..10).all(|step| schedule.rate(step).is_finite()));
    }

    #[test]
    fn bad_rates_are_refused() {
        for rate in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(Schedule::Constant { rate }.check().is_err(), "{rate}");
        }
        assert!(Schedule::WarmUpCosine { rate: 1.0, warm_up: 0, steps: 1, last: f64::NAN }.check().is_err());
    }
}
