use super::cpu::{balanced, official, paper};
use super::*;
use crate::tensor::random::Sampler;
use crate::testing::{assert_close, devices, random};

const DIFFERENCE: [f32; 8] = [0.5, 0.25, 0.0, 2.0, 1.0, 0.125, 4.0, 0.75];
const MASK: [bool; 8] = [true, true, true, false, true, false, true, true];

#[track_caller]
fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < 2e-6, "position {index}: {a}, expected {b} (all: {found:?})");
    }
}

/// Numbers of `tests/fixtures/scripts/reweighting.py`.
#[test]
fn formulas_match_numpy() {
    close(&paper(&DIFFERENCE, &MASK), &[0.6353155, 4.694_382, 0.0, 0.0, 0.2337195, 0.0, 0.1104013, 0.3261819]);
    close(&official(&DIFFERENCE, &MASK), &[1.5, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0549451]);
    close(&balanced(&DIFFERENCE, &MASK), &[0.9110646, 1.3483756, 2.0, 1.0, 0.552613, 1.0, 0.5, 0.6879468]);
}

#[test]
fn paper_stays_finite_where_the_exponential_overflows() {
    // 1/d is 1e30 and 1.1e30: e^x of either is infinite. The softmax is one-hot on the smaller difference.
    let weights = paper(&[1e-30, 0.9e-30, 1.0], &[true; 3]);
    close(&weights, &[0.0, 3.0, 0.0]);
    // The smallest positive f32.
    close(&paper(&[1e-45, 1.0], &[true; 2]), &[2.0, 0.0]);
    close(&paper(&[0.0; 4], &[true, false, true, false]), &[1.0, 0.0, 1.0, 0.0]);
    close(&paper(&[1.0; 2], &[false; 2]), &[0.0, 0.0]);
}

#[test]
fn balanced_has_mean_one_and_its_bounds() {
    let mut sampler = Sampler::new(4, "differences", &[]);
    for case in 0..50 {
        let count = 1 + sampler.below(200);
        let difference: Vec<f32> = (0..count).map(|_| sampler.normal().powi(if case % 2 == 0 { 2 } else { 8 })).collect();
        let mask: Vec<bool> = (0..count).map(|_| sampler.chance(0.4)).collect();
        let weights = balanced(&difference, &mask);
        let inside: Vec<f64> = weights.iter().zip(&mask).filter(|(_, inside)| **inside).map(|(weight, _)| f64::from(*weight)).collect();
        if !inside.is_empty() {
            let mean = inside.iter().sum::<f64>() / inside.len() as f64;
            assert!((mean - 1.0).abs() < 1e-5, "case {case}: mean {mean}");
        }
        assert!(weights.iter().all(|weight| (0.5..=2.0).contains(weight)), "case {case}");
        assert!(weights.iter().zip(&mask).all(|(weight, inside)| *inside || *weight == 1.0), "case {case}");
    }
    // Where less has changed, the weight is higher.
    let weights = balanced(&[0.1, 1.0, 3.0], &[true; 3]);
    assert!(weights[0] > weights[1] && weights[1] > weights[2], "{weights:?}");
    close(&balanced(&[0.0; 3], &[true; 3]), &[1.0; 3]);
}

/// A mask of two in three positions; nothing of the third image.
fn mask(batch: usize, height: usize, width: usize) -> Tensor {
    let area = height * width;
    let inside = (0..batch * area).map(|index| (index % 3 != 1 && index / area != 2) as u8 as f32);
    Tensor::from_f32(inside.collect::<Vec<_>>(), &[batch, height, width, 1]).unwrap()
}

#[test]
fn maps_are_the_formulas_of_squared_differences() {
    let (x, reference, mask) = (random("x", &[1, 2, 4, 3]), random("reference", &[1, 2, 4, 3]), mask(1, 2, 4));
    let sum = |position: usize| {
        (0..3).map(|channel| (x.f32s().unwrap()[3 * position + channel] - reference.f32s().unwrap()[3 * position + channel]).powi(2)).sum::<f32>()
    };
    let inside: Vec<bool> = mask.f32s().unwrap().iter().map(|&inside| inside == 1.0).collect();
    for (formula, of_image, scale) in
        [(Formula::Paper, paper as fn(&[f32], &[bool]) -> Vec<f32>, 1.0), (Formula::Official, official, 3.0), (Formula::Balanced, balanced, 3.0)]
    {
        let found = weight_map(formula, &x, &reference, &mask).unwrap();
        assert_eq!(found.shape(), [1, 2, 4]);
        close(&found.f32s().unwrap(), &of_image(&(0..8).map(|position| sum(position) / scale).collect::<Vec<_>>(), &inside));
    }
    assert!(weight_map(Formula::Paper, &x, &reference, &Tensor::zeros(&[1, 2, 3, 1])).unwrap_err().to_string().contains("[1, 2, 3, 1]"));
}

#[test]
fn gpus_agree() {
    for device in devices() {
        for size in [[1, 1, 1, 1], [4, 5, 7, 4], [2, 24, 30, 3]] {
            // The first half of the positions does not differ at all.
            let same = random("x", &size).to_f32_vec().unwrap();
            let other = random("reference", &size).to_f32_vec().unwrap();
            let half = same.len() / 2;
            let reference = Tensor::from_f32([&same[..half], &other[half..]].concat(), &size).unwrap();
            for (x, reference) in [(random("x", &size), random("reference", &size)), (random("x", &size), reference)] {
                for formula in [Formula::Paper, Formula::Official, Formula::Balanced] {
                    let on = |device| {
                        let there = |tensor: &Tensor| tensor.to_device(device).unwrap();
                        weight_map(formula, &there(&x), &there(&reference), &there(&mask(size[0], size[1], size[2]))).unwrap()
                    };
                    assert_close(&on(device), &on(Device::Cpu), 1e-5);
                }
            }
        }
    }
}
