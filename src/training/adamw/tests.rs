use serde_json::Value;

use super::*;
use crate::autograd::Var;
use crate::nn::Layout;
use crate::testing::{random, relative_error};

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn parameter(name: &str, values: Vec<f32>, shape: &[usize]) -> Parameter {
    let parameter = Parameter::new(name.to_owned(), Tensor::from_f32(values, shape).unwrap(), Layout::Plain);
    parameter.set_trainable(true);
    parameter
}

/// The gradients as a backward pass would give them.
fn gradients_of(list: &[(&Parameter, Tensor)]) -> Gradients {
    let mut all = Gradients::default();
    for (parameter, gradient) in list {
        all.accumulate(Var::leaf_with_id(parameter.value(), parameter.id()).backward_from(gradient.clone()).unwrap()).unwrap();
    }
    all
}

/// Steps of `torch.optim` recorded by `tests/fixtures/scripts/optimizers.py`.
#[test]
fn values_follow_pytorch() {
    let fixture: Value = serde_json::from_str(include_str!("../../../tests/fixtures/optimizers.json")).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let a = parameter("a", floats(&case["start"]["a"]), &[5]);
        let b = parameter("b", floats(&case["start"]["b"]), &[2, 3]);
        let options = AdamWOptions::default();
        let (options, slower) = match name {
            "adamw" => (AdamWOptions { beta2: 0.99, weight_decay: 0.1, ..options }, 1.0),
            "adamw, clipped, groups" => (AdamWOptions { epsilon: 1e-6, weight_decay: 0.05, clip_norm: Some(0.5), ..options }, 0.1),
            "adam, coupled decay" => (AdamWOptions { weight_decay: 0.1, decoupled: false, ..options }, 1.0),
            other => panic!("unknown case {other}"),
        };
        let group = |parameter: &Parameter| match (slower < 1.0, parameter.name()) {
            (true, "b") => Group { learning_rate_factor: slower, weight_decay: Some(0.0) },
            _ => Group::default(),
        };
        let mut optimiser = AdamW::grouped(&ParameterSet::new(vec![a.clone(), b.clone()]), options, group).unwrap();
        for step in case["steps"].as_array().unwrap() {
            let mut list = vec![(&a, Tensor::from_f32(floats(&step["gradients"]["a"]), &[5]).unwrap())];
            if !step["gradients"]["b"].is_null() {
                list.push((&b, Tensor::from_f32(floats(&step["gradients"]["b"]), &[2, 3]).unwrap()));
            }
            let norm = optimiser.step(&gradients_of(&list), 3e-2, 1.0).unwrap();
            if let Some(expected) = step["norm"].as_f64() {
                assert!((norm - expected).abs() <= 1e-6 * expected, "{name}: norm {norm}, PyTorch {expected}");
            }
            for (parameter, key) in [(&a, "a"), (&b, "b")] {
                let error = relative_error(&parameter.value().to_f32_vec().unwrap(), &floats(&step["values"][key]));
                assert!(error <= 1e-6, "{name}, {key}: relative error {error:.2e}");
            }
        }
    }
}

#[test]
fn an_absent_gradient_rests_or_counts_as_zero() {
    for (absent, moves) in [(AbsentGradient::Skip, false), (AbsentGradient::Zero, true)] {
        let (a, b) = (parameter("a", vec![1.0; 4], &[4]), parameter("b", vec![1.0; 4], &[4]));
        let mut optimiser = AdamW::new(&ParameterSet::new(vec![a.clone(), b.clone()]), AdamWOptions { absent, ..AdamWOptions::official() }).unwrap();
        optimiser.step(&gradients_of(&[(&a, Tensor::full(1.0, &[4])), (&b, Tensor::full(1.0, &[4]))]), 0.1, 1.0).unwrap();
        let before = b.value().to_f32_vec().unwrap();
        optimiser.step(&gradients_of(&[(&a, Tensor::full(1.0, &[4]))]), 0.1, 1.0).unwrap();
        assert_eq!(before != b.value().to_f32_vec().unwrap(), moves, "{absent:?}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let shape = [3 * (1 << 15) + 17];
    let result = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let a = parameter("a", random("value", &shape).to_f32_vec().unwrap(), &shape);
            let options = AdamWOptions { clip_norm: Some(1.0), ..AdamWOptions::default() };
            let mut optimiser = AdamW::new(&ParameterSet::new(vec![a.clone()]), options).unwrap();
            let norm = optimiser.step(&gradients_of(&[(&a, random("gradient", &shape))]), 0.1, 0.5).unwrap();
            (norm.to_bits(), a.value().to_f32_vec().unwrap())
        })
    };
    assert!(result(1) == result(3));
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    let (a, b) = (parameter("a", vec![1.0; 2], &[2]), parameter("b", vec![1.0; 2], &[2]));
    let mut optimiser = AdamW::new(&ParameterSet::new(vec![a.clone(), b.clone()]), AdamWOptions::default()).unwrap();
    let bad = Tensor::from_f32(vec![1.0, f32::NAN], &[2]).unwrap();
    let error = optimiser.step(&gradients_of(&[(&a, Tensor::full(1.0, &[2])), (&b, bad)]), 0.1, 1.0).unwrap_err().to_string();
    assert!(error.contains("gradient of b") && error.contains("1 of 2"), "{error}");
    assert_eq!(a.value().to_f32_vec().unwrap(), [1.0, 1.0]);
}

#[test]
fn state_taken_back_goes_on_bit_by_bit() {
    let gradient = |step: usize| random(&format!("gradient {step}"), &[6]);
    let run = |stop: Option<usize>| {
        let a = parameter("a", vec![0.5; 6], &[6]);
        let set = ParameterSet::new(vec![a.clone()]);
        let mut optimiser = AdamW::new(&set, AdamWOptions::default()).unwrap();
        for step in 0..10 {
            if stop == Some(step) {
                let saved: BTreeMap<String, Tensor> = optimiser.state().unwrap().into_iter().collect();
                optimiser = AdamW::new(&set, AdamWOptions::default()).unwrap();
                optimiser.restore(|name, _| Ok(saved[name].clone())).unwrap();
            }
            optimiser.step(&gradients_of(&[(&a, gradient(step))]), 0.1, 1.0).unwrap();
        }
        a.value().to_f32_vec().unwrap()
    };
    assert_eq!(run(None), run(Some(4)));
}

#[test]
fn options_out_of_range_and_equal_names_are_refused() {
    let set = ParameterSet::new(vec![parameter("a", vec![1.0], &[1]), parameter("a", vec![1.0], &[1])]);
    assert!(AdamW::new(&set, AdamWOptions::default()).is_err());
    for options in [
        AdamWOptions { beta1: 1.0, ..AdamWOptions::default() },
        AdamWOptions { beta2: f64::NAN, ..AdamWOptions::default() },
        AdamWOptions { weight_decay: -1.0, ..AdamWOptions::default() },
        AdamWOptions { clip_norm: Some(0.0), ..AdamWOptions::default() },
    ] {
        assert!(AdamW::new(&ParameterSet::default(), options).is_err(), "{options:?}");
    }
}
