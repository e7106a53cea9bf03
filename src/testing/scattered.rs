//! Parameters from a formula: networks of full size are compared with another framework's without their weights being stored.

use crate::error::Result;
use crate::nn::{Init, ParameterSource};
use crate::tensor::Tensor;

/// A parameter is a function of its name, its shape and the position of the element, as `tests/fixtures/scripts/quality.py` computes it too:
/// weights uniform with the variance that keeps activations of ReLU networks in scale, scales and variances in 0.5..1.5, the rest in ±0.2.
#[derive(Clone, Copy, Debug)]
pub struct Scattered;

impl ParameterSource for Scattered {
    fn fetch(&self, name: &str, shape: &[usize], _: Init) -> Result<Tensor> {
        let count: usize = shape.iter().product();
        let (low, high) = match *shape {
            [1, _, 1, 1] => (0.0, 1.0),
            [_, ref window @ ..] if !window.is_empty() => {
                let bound = (6.0 / window.iter().product::<usize>() as f64).sqrt();
                (-bound, bound)
            }
            _ if name.ends_with("weight") || name.ends_with("running_var") => (0.5, 1.5),
            _ => (-0.2, 0.2),
        };
        let seed = name.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let value = |index: usize| {
            let share = f64::from(mix(seed.wrapping_add((index as u32).wrapping_mul(0x9E37_79B9)))) / 4_294_967_296.0;
            (low + (high - low) * share) as f32
        };
        Tensor::from_f32((0..count).map(value).collect::<Vec<_>>(), shape)
    }
}

/// The last steps of MurmurHash3.
fn mix(mut word: u32) -> u32 {
    word ^= word >> 16;
    word = word.wrapping_mul(0x85EB_CA6B);
    word ^= word >> 13;
    word = word.wrapping_mul(0xC2B2_AE35);
    word ^ word >> 16
}
