use super::*;
use crate::autograd::Var;
use crate::ops;
use crate::testing::{devices, random};

const UPDATE: Update = Update { guidance: 2.5, clean: [1.25, -0.5], epsilon: [0.375, 0.75], previous: [0.875, 0.4375], deviation: 0.3 };

fn streams(purpose: &str, count: u64) -> Vec<Stream> {
    (0..count).map(|index| Stream::new(3, purpose, &[index])).collect()
}

fn mask(shape: &[usize; 4]) -> Tensor {
    let cells = shape[0] * shape[1] * shape[2];
    Tensor::from_f32((0..cells).map(|cell| (cell % 3 == 1) as u8 as f32).collect::<Vec<_>>(), &[shape[0], shape[1], shape[2], 1]).unwrap()
}

/// Everything that one step gives, on a device, as bits.
fn step(shape: &[usize; 4], update: &Update, guided: bool, device: Device) -> Vec<Vec<u32>> {
    let there = |name: &str| random(name, shape).to_device(device).unwrap();
    let (noisy, conditional, unconditional, normal) = (there("noisy"), there("conditional"), there("unconditional"), there("normal"));
    let (mask, outside) = (mask(shape).to_device(device).unwrap(), streams("outside", shape[0] as u64));
    let background = Background { mask: &mask, normal: &normal, noise: Some(BackgroundNoise { signal: 0.8, noise: 0.6, streams: &outside }) };
    let outputs = Outputs { noisy: &noisy, conditional: &conditional, unconditional: guided.then_some(&unconditional) };
    let found = denoise(outputs, update, &streams("inside", shape[0] as u64), Some(&background)).unwrap();
    assert_eq!(blend(&found.latent, &background).unwrap().to_f32_vec().unwrap(), found.blended.as_ref().unwrap().to_f32_vec().unwrap());
    let last = blend(&found.latent, &Background { noise: None, ..background }).unwrap();
    let bits = |tensor: &Tensor| tensor.to_f32_vec().unwrap().into_iter().map(f32::to_bits).collect();
    [&found.clean, &found.latent, found.blended.as_ref().unwrap(), &last].into_iter().map(bits).collect()
}

#[test]
fn a_step_is_its_definition() {
    let shape = [2, 3, 2, 3];
    let sum = |a: f32, x: &Tensor, b: f32, y: &Tensor| {
        let scaled = |factor, tensor: &Tensor| ops::affine(&Var::constant(tensor.clone()), factor, 0.0).unwrap();
        ops::add(&scaled(a, x), &scaled(b, y)).unwrap().into_tensor()
    };
    let tensor = |name: &str| random(name, &shape);
    let output = sum(1.0 - 2.5, &tensor("unconditional"), 2.5, &tensor("conditional"));
    let clean = sum(1.25, &tensor("noisy"), -0.5, &output);
    let epsilon = sum(0.75, &output, 0.375, &tensor("noisy"));
    let fresh = |purpose: &str| ops::normal(&streams(purpose, 2), &shape[1..], Device::Cpu).unwrap();
    let latent = sum(1.0, &sum(0.875, &clean, 0.4375, &epsilon), 0.3, &fresh("inside"));
    let outside = sum(0.8, &tensor("normal"), 0.6, &fresh("outside"));
    let inside = mask(&shape).to_f32_vec().unwrap();
    let blended: Vec<f32> = (0..latent.elements())
        .map(|index| if inside[index / 3] > 0.5 { latent.f32s().unwrap()[index] } else { outside.f32s().unwrap()[index] })
        .collect();
    let found = step(&shape, &UPDATE, true, Device::Cpu);
    for (found, expected) in found.iter().zip([clean.to_f32_vec().unwrap(), latent.to_f32_vec().unwrap(), blended]) {
        assert_eq!(*found, expected.into_iter().map(f32::to_bits).collect::<Vec<_>>());
    }
}

#[test]
fn gpus_agree_in_every_bit() {
    for device in devices() {
        for (shape, guided, deviation) in
            [([1, 1, 1, 1], false, 0.0), ([3, 5, 3, 4], true, 0.3), ([2, 17, 31, 3], true, 0.0), ([2, 7, 5, 4], false, 0.3)]
        {
            for epsilon in [[0.0, 1.0], UPDATE.epsilon] {
                let update = Update { deviation, epsilon, ..UPDATE };
                assert_eq!(step(&shape, &update, guided, device), step(&shape, &update, guided, Device::Cpu), "{shape:?} on {device}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (latent, other) = (random("x", &[2, 3, 3, 4]), random("x", &[2, 3, 3, 3]));
    let outputs = |conditional| Outputs { noisy: &latent, conditional, unconditional: None };
    let message = |result: Result<Denoised>| result.unwrap_err().to_string();
    assert!(message(denoise(outputs(&other), &UPDATE, &streams("x", 2), None)).contains("[2, 3, 3, 3]"));
    assert!(message(denoise(outputs(&latent), &UPDATE, &streams("x", 1), None)).contains("1 streams of noise for a batch of 2"));
    let mask = Tensor::zeros(&[2, 3, 2, 1]);
    assert!(blend(&latent, &Background { mask: &mask, normal: &latent, noise: None }).unwrap_err().to_string().contains("[2, 3, 2, 1]"));
}
