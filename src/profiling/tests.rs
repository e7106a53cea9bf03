use super::*;
use crate::models::unet::UnetConfig;
use crate::models::vae::VaeConfig;
use crate::nn::{Init, ParameterSource};

#[test]
fn the_median_of_an_even_and_an_odd_number_of_runs() {
    let timing = Timing::new(vec![4.0, 1.0, 2.0, 10.0]);
    assert_eq!((timing.median, timing.lowest, timing.highest, timing.runs), (3.0, 1.0, 10.0, 4));
    assert_eq!(Timing::new(vec![3.0, 9.0, 1.0]).median, 3.0);
    let mut calls = 0;
    let counted = measure(2, 3, || {
        calls += 1;
        Ok(())
    });
    assert_eq!((counted.unwrap().runs, calls), (3, 5));
}

#[test]
fn processor_time_passes_while_working() {
    let Some(before) = process::processor_milliseconds() else { return };
    let start = std::time::Instant::now();
    while start.elapsed().as_millis() < 1_000 && process::processor_milliseconds().unwrap() < before + 30.0 {}
    let spent = process::processor_milliseconds().unwrap() - before;
    assert!((10.0..60_000.0).contains(&spent), "{spent} ms of work");
}

#[test]
fn the_peak_of_memory_grows_with_what_is_held() {
    let Some(before) = process::peak_bytes() else { return };
    let held = vec![1u8; 64 << 20];
    assert!(process::peak_bytes().unwrap() >= before, "a peak never shrinks by itself");
    assert_eq!(held.iter().map(|&byte| u64::from(byte)).sum::<u64>(), 64 << 20);
}

/// As PyTorch's FlopCounterMode counts diffusers' models of these shapes.
#[test]
fn arithmetic_of_the_presets() {
    let preset = Preset::find("sd15").unwrap();
    let unet = UnetConfig::from_json(preset.unet, "sd15").unwrap();
    let vae = VaeConfig::from_json(preset.vae, "sd15").unwrap();
    let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.005, "{found:e} and {expected:e}");
    close(arithmetic::unet(&unet, 32, 32, 77), 180.106e9);
    close(arithmetic::vae_decoder(&vae, 32, 32), 622.187e9);
    assert!(Preset::find("sd3").unwrap_err().to_string().contains("sd15 or sd21"));
}

#[test]
fn noise_is_as_wide_as_the_initial_values_it_stands_for() {
    let values = FastNoise.fetch("any", &[300, 1000], Init::Uniform(0.5)).unwrap().to_f32_vec().unwrap();
    let variance = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((variance - 0.25 / 3.0).abs() < 0.002 && values.iter().all(|x| x.abs() <= 0.5), "variance {variance}");
    assert_eq!(FastNoise.fetch("any", &[3], Init::Ones).unwrap().to_f32_vec().unwrap(), [1.0; 3]);
}
