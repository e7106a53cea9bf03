//! Against diffusers' DDIMScheduler (`tests/fixtures/scripts/unet_vae.py`), and the properties that the method relies on.

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::tensor::Tensor;
use crate::testing::{assert_close, random};

#[derive(Deserialize)]
struct Case {
    config: Value,
    steps: usize,
    eta: f64,
    timesteps: Vec<i32>,
    alphas_cumprod: std::collections::BTreeMap<String, f64>,
    updates: Vec<Update>,
    output: Vec<f32>,
    noisy: Vec<f32>,
    noise: Vec<f32>,
    latent: Vec<f32>,
    at: i32,
    added: Vec<f32>,
    velocity: Vec<f32>,
}

#[derive(Deserialize)]
struct Update {
    timestep: i32,
    previous: Vec<f32>,
    clean: Vec<f32>,
}

fn row(values: &[f32]) -> Tensor {
    Tensor::from_f32(values.to_vec(), &[1, values.len()]).unwrap()
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../tests/fixtures/ddim.json")).unwrap()
}

#[test]
fn steps_as_diffusers() {
    for case in cases() {
        let schedule = Schedule::from_json(&case.config.to_string(), "case").unwrap();
        for (timestep, alpha) in &case.alphas_cumprod {
            let found = schedule.alpha(timestep.parse().unwrap()).unwrap();
            assert!((found / alpha - 1.0).abs() < 1e-12, "alpha of time step {timestep}: {found} and {alpha}");
        }
        let steps = ddim::steps(&schedule, case.steps).unwrap();
        assert_eq!(steps.iter().map(|step| step.timestep).collect::<Vec<_>>(), case.timesteps);
        let (output, noisy, noise) = (row(&case.output), row(&case.noisy), row(&case.noise));
        for update in &case.updates {
            let step = steps.iter().find(|step| step.timestep == update.timestep).unwrap();
            assert_close(&step.clean(&output, &noisy).unwrap(), &row(&update.clean), 1e-6);
            assert_close(&step.update(&output, &noisy, case.eta, &noise).unwrap(), &row(&update.previous), 1e-6);
        }
    }
}

#[test]
fn noise_and_target_as_diffusers() {
    for case in cases() {
        let schedule = Schedule::from_json(&case.config.to_string(), "case").unwrap();
        let (latent, noise) = (row(&case.latent), row(&case.noise));
        let timestep = Tensor::from_i32(vec![case.at], &[1]).unwrap();
        assert_close(&schedule.add_noise(&latent, &noise, &timestep).unwrap(), &row(&case.added), 1e-6);
        let target = if schedule.prediction() == Prediction::Velocity { row(&case.velocity) } else { noise.clone() };
        assert_close(&schedule.target(&latent, &noise, &timestep).unwrap(), &target, 1e-6);
    }
}

#[test]
fn the_released_programs_two_hundred_steps() {
    let schedule = Schedule::default();
    let steps = ddim::steps(&schedule, 200).unwrap();
    let timesteps: Vec<i32> = steps.iter().rev().map(|step| step.timestep).collect();
    assert_eq!(timesteps, (0..200).map(|i| 5 * i + 1).collect::<Vec<_>>());
    assert_eq!(steps[199].previous_alpha, schedule.alphas_cumprod()[0]);
    assert_eq!(steps[0].previous_alpha, steps[1].alpha);
}

#[test]
fn a_perfect_prediction_gives_the_clean_latent_back() {
    let (clean, noise) = (random("clean", &[2, 3, 3, 4]), random("noise", &[2, 3, 3, 4]));
    let timesteps = Tensor::from_i32(vec![601, 601], &[2]).unwrap();
    for prediction_type in [Prediction::Epsilon, Prediction::Velocity] {
        let schedule = Schedule::new(ScheduleConfig { prediction_type, ..ScheduleConfig::default() });
        let step = ddim::steps(&schedule, 10).unwrap().into_iter().find(|step| step.timestep == 601).unwrap();
        let noisy = schedule.add_noise(&clean, &noise, &timesteps).unwrap();
        let output = schedule.target(&clean, &noise, &timesteps).unwrap();
        assert_close(&step.clean(&output, &noisy).unwrap(), &clean, 1e-5);
        // Without fresh noise, the step leads to the same latent with less of the same noise.
        let expected = schedule.add_noise(&clean, &noise, &Tensor::from_i32(vec![501, 501], &[2]).unwrap()).unwrap();
        assert_close(&step.update(&output, &noisy, 0.0, &noise).unwrap(), &expected, 1e-5);
    }
}

#[test]
fn every_sample_has_its_own_time_step() {
    let schedule = Schedule::default();
    let (clean, noise) = (random("clean", &[2, 2, 2, 4]), random("noise", &[2, 2, 2, 4]));
    let at = |timesteps: [i32; 2]| {
        let timesteps = Tensor::from_i32(timesteps.to_vec(), &[2]).unwrap();
        schedule.add_noise(&clean, &noise, &timesteps).unwrap().to_f32_vec().unwrap()
    };
    let mixed = at([10, 900]);
    assert_eq!(mixed[..16], at([10, 10])[..16]);
    assert_eq!(mixed[16..], at([900, 900])[16..]);
}

#[test]
fn guidance_of_one_is_the_conditional_prediction() {
    let (unconditional, conditional) = (row(&[1.0, 2.0]), row(&[2.0, 0.0]));
    assert_eq!(guide(&unconditional, &conditional, 1.0).unwrap().to_f32_vec().unwrap(), [2.0, 0.0]);
    assert_eq!(guide(&unconditional, &conditional, 3.0).unwrap().to_f32_vec().unwrap(), [4.0, -4.0]);
}

#[test]
fn unusable_schedules_and_step_counts_are_refused() {
    let good = serde_json::json!({"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"});
    let schedule = Schedule::from_json(&good.to_string(), "x").unwrap();
    assert_eq!(schedule, Schedule::default());
    assert_eq!(ddim::steps(&schedule, 1000).unwrap()[0].timestep, 999);
    for count in [0, 1001] {
        assert_eq!(crate::error::exit_code(&ddim::steps(&schedule, count).unwrap_err()), 2);
    }
    assert!(schedule.alpha(1000).is_err() && schedule.alpha(-1).is_err());
    for (field, value, expected) in [
        ("beta_schedule", serde_json::json!("squaredcos_cap_v2"), "squaredcos_cap_v2"),
        ("prediction_type", serde_json::json!("sample"), "sample"),
        ("rescale_betas_zero_snr", serde_json::json!(true), "rescale_betas_zero_snr"),
        ("beta_end", serde_json::json!(1.5), "beta_end is 1.5"),
        ("num_train_timesteps", serde_json::json!(0), "num_train_timesteps is 0"),
        ("trained_betas", serde_json::json!([0.1]), "trained_betas"),
    ] {
        let mut config = good.clone();
        config[field] = value;
        let error = Schedule::from_json(&config.to_string(), "scheduler_config.json").unwrap_err();
        assert_eq!(crate::error::exit_code(&error), 2);
        assert!(error.to_string().starts_with("scheduler_config.json") && error.to_string().contains(expected), "{error}");
    }
}
