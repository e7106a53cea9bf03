use super::*;
use crate::error::exit_code;

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
    let mut sampler = crate::tensor::random::Sampler::new(4, "differences", &[]);
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

#[test]
fn official_dilation_shrinks_with_time() {
    assert_eq!(official_radius(996, 200, 32), 8);
    assert_eq!(official_radius(400, 200, 32), 4);
    assert_eq!(official_radius(1, 200, 32), 0);
    assert_eq!(official_radius(981, 50, 32), 17);
    assert_eq!(official_radius(996, 200, 64), 17);
    assert_eq!(official_radius(996, 200, 8), 2);
}

#[test]
fn names_are_read_back_and_others_refused() {
    for mode in [Mode::Off, Mode::Paper, Mode::Official, Mode::Default] {
        assert_eq!(Mode::parse(mode.name()).unwrap(), mode);
    }
    let error = Mode::parse("on").unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("--reweight on"), "{error}");
}
