//! Element by element, on all threads.

use rayon::prelude::*;

use super::{Common, Moved, Own, Parameter};
use crate::error::Result;
use crate::tensor::Tensor;

/// Elements that one task of the thread pool works on; also the unit of the fixed order of sums.
const CHUNK: usize = 1 << 15;

/// Moves a parameter in place; no gradient counts as zeros.
pub fn apply(common: &Common, own: &Own, values: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: Option<&[f32]>) {
    let chunks = values.par_chunks_mut(CHUNK).zip(first.par_chunks_mut(CHUNK)).zip(second.par_chunks_mut(CHUNK));
    match gradient {
        Some(gradient) => chunks.zip(gradient.par_chunks(CHUNK)).for_each(|(((values, first), second), gradient)| {
            apply_chunk(common, own, values, first, second, gradient);
        }),
        None => {
            let zeros = vec![0.0; CHUNK];
            chunks.for_each(|((values, first), second)| apply_chunk(common, own, values, first, second, &zeros));
        }
    }
}

fn apply_chunk(common: &Common, own: &Own, values: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
    for (((value, first), second), gradient) in values.iter_mut().zip(first).zip(second).zip(gradient) {
        let gradient = gradient * common.scale + own.decay * *value;
        *first += common.one_minus_beta1 * (gradient - *first);
        *second = *second * common.beta2 + common.one_minus_beta2 * gradient * gradient;
        let denominator = second.sqrt() / own.correction + common.epsilon;
        *value = *value * own.keep + own.step * *first / denominator;
    }
}

pub(super) fn step(parameter: &Parameter, common: &Common) -> Result<Moved> {
    let elements = |tensor: &Tensor| Ok::<_, crate::error::Error>(tensor.f32s()?.into_owned());
    let (mut value, mut first, mut second) = (elements(&parameter.value)?, elements(&parameter.first)?, elements(&parameter.second)?);
    let gradient = parameter.gradient.as_ref().map(Tensor::f32s).transpose()?;
    apply(common, &parameter.own, &mut value, &mut first, &mut second, gradient.as_deref());
    let tensor = |elements: Vec<f32>| Tensor::from_f32(elements, parameter.value.shape());
    Ok(Moved { value: tensor(value)?, first: tensor(first)?, second: tensor(second)? })
}

pub(super) fn square_sum(tensor: &Tensor) -> Result<f64> {
    let sum_of = |chunk: &[f32]| chunk.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let sums: Vec<f64> = tensor.f32s()?.par_chunks(CHUNK).map(sum_of).collect();
    Ok(sums.iter().sum())
}

pub(super) fn moving_average(average: &Tensor, value: &Tensor, share: f32) -> Result<Tensor> {
    let (mut moved, value) = (average.f32s()?.into_owned(), value.f32s()?);
    moved.par_chunks_mut(CHUNK).zip(value.par_chunks(CHUNK)).for_each(|(average, value)| {
        average.iter_mut().zip(value).for_each(|(average, value)| *average += share * (value - *average));
    });
    Tensor::from_f32(moved, average.shape())
}
