//! Initial values of parameters that are trained from scratch.

use crate::error::Result;
use crate::nn::path::ParameterSource;
use crate::tensor::Tensor;
use crate::tensor::random::{Sampler, Stream};

/// The distribution of a parameter's initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// All this value.
    Constant(f32),
    /// Normal with this standard deviation.
    Normal(f32),
    /// Uniform in ±bound.
    Uniform(f32),
}

impl Init {
    /// What PyTorch gives linear and conv weights and biases by default: uniform in ±1/sqrt(fan in).
    pub fn fan_in(fan_in: usize) -> Self {
        Self::Uniform(1.0 / (fan_in.max(1) as f32).sqrt())
    }
}

/// A source of freshly initialised parameters. A parameter's values depend on the seed and its name alone.
#[derive(Clone, Debug)]
pub struct RandomInit {
    /// Seed of all values.
    pub seed: u64,
}

impl ParameterSource for RandomInit {
    fn fetch(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let purpose = format!("parameter {name}");
        Ok(match init {
            Init::Zeros => Tensor::zeros(shape),
            Init::Ones => Tensor::full(1.0, shape),
            Init::Constant(value) => Tensor::full(value, shape),
            Init::Normal(deviation) => {
                let mut values = vec![0.0; shape.iter().product()];
                Stream::new(self.seed, &purpose, &[]).fill_normal(&mut values);
                values.iter_mut().for_each(|value| *value *= deviation);
                Tensor::from_f32(values, shape)?
            }
            Init::Uniform(bound) => {
                let mut sampler = Sampler::new(self.seed, &purpose, &[]);
                let count = shape.iter().product();
                Tensor::from_f32((0..count).map(|_| sampler.range(-bound, bound)).collect::<Vec<_>>(), shape)?
            }
        })
    }
}
