use super::*;
use crate::autograd::Var;
use crate::ops;
use crate::tensor::replay::numbers;
use crate::testing::{devices, random};

const UPDATE: Update =
    Update { guidance: 2.5, clean: [1.25, -0.5], epsilon: [0.375, 0.75], previous: [0.875, 0.4375], deviation: 0.3, outside: [0.8, 0.6] };

fn streams(purpose: &str, count: u64) -> Vec<Stream> {
    (0..count).map(|index| Stream::new(3, purpose, &[index])).collect()
}

fn mask(shape: &[usize; 4]) -> Tensor {
    let cells = shape[0] * shape[1] * shape[2];
    Tensor::from_f32((0..cells).map(|cell| (cell % 3 == 1) as u8 as f32).collect::<Vec<_>>(), &[shape[0], shape[1], shape[2], 1]).unwrap()
}

/// A plan in which `update` is the second of three steps.
fn plan(update: &Update, batch: u64, device: Device) -> Updates {
    let planned = |weights: Update, name: &str| PlannedUpdate {
        weights,
        inside: if weights.deviation == 0.0 { Vec::new() } else { streams(&format!("inside{name}"), batch) },
        outside: streams(&format!("outside{name}"), batch),
    };
    let other = Update { guidance: 1.25, previous: [0.5, 0.25], ..UPDATE };
    Updates::new(&[planned(other, " before"), planned(*update, ""), planned(other, " behind")], batch as usize, device).unwrap()
}

/// Everything that one step gives, on a device, as bits.
fn step(shape: &[usize; 4], update: &Update, guided: bool, device: Device) -> Vec<Vec<u32>> {
    let there = |name: &str| random(name, shape).to_device(device).unwrap();
    let (noisy, conditional, unconditional, normal) = (there("noisy"), there("conditional"), there("unconditional"), there("normal"));
    let (mask, batch) = (mask(shape).to_device(device).unwrap(), shape[0] as u64);
    let background = Background { mask: &mask, normal: &normal };
    let outputs = Outputs { noisy: &noisy, conditional: &conditional, unconditional: guided.then_some(&unconditional) };
    let (updates, number) = (plan(update, batch, device), numbers(1, 2, device).unwrap());
    let found = denoise(outputs, &updates, &number, Some(&background)).unwrap();
    let alone = denoise(outputs, &updates, &number, None).unwrap();
    assert_eq!(alone.latent.to_f32_vec().unwrap(), found.latent.to_f32_vec().unwrap());
    assert!(alone.blended.is_none());
    let ([signal, noise], outside) = (update.outside, streams("outside", batch));
    let again = blend(&found.latent, &background, (noise != 0.0).then_some(BackgroundNoise { signal, noise, streams: &outside })).unwrap();
    assert_eq!(again.to_f32_vec().unwrap(), found.blended.as_ref().unwrap().to_f32_vec().unwrap());
    let bits = |tensor: &Tensor| tensor.to_f32_vec().unwrap().into_iter().map(f32::to_bits).collect();
    [&found.clean, &found.latent, &again].into_iter().map(bits).collect()
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
            for (epsilon, outside) in [([0.0, 1.0], UPDATE.outside), (UPDATE.epsilon, UPDATE.outside), (UPDATE.epsilon, [1.0, 0.0])] {
                let update = Update { deviation, epsilon, outside, ..UPDATE };
                assert_eq!(step(&shape, &update, guided, device), step(&shape, &update, guided, Device::Cpu), "{shape:?} on {device}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (latent, other) = (random("x", &[2, 3, 3, 4]), random("x", &[2, 3, 3, 3]));
    let outputs = |conditional| Outputs { noisy: &latent, conditional, unconditional: None };
    let run = |conditional, batch, number| {
        denoise(outputs(conditional), &plan(&UPDATE, batch, Device::Cpu), &numbers(number, 1, Device::Cpu).unwrap(), None)
    };
    let message = |result: Result<Denoised>| result.unwrap_err().to_string();
    assert!(run(&latent, 2, 2).is_ok());
    assert!(message(run(&other, 2, 0)).contains("[2, 3, 3, 3]"));
    assert!(message(run(&latent, 3, 0)).contains("a batch of 3 and one of 2"));
    assert!(message(run(&latent, 2, 3)).contains("step 3 of 3"));
    let short = PlannedUpdate { weights: UPDATE, inside: streams("x", 1), outside: streams("x", 2) };
    assert!(Updates::new(&[short], 2, Device::Cpu).unwrap_err().to_string().contains("1 streams of noise for a batch of 2"));
    let mask = Tensor::zeros(&[2, 3, 2, 1]);
    assert!(blend(&latent, &Background { mask: &mask, normal: &latent }, None).unwrap_err().to_string().contains("[2, 3, 2, 1]"));
    let (fits, streams) = (Tensor::zeros(&[2, 3, 3, 1]), streams("x", 1));
    let noise = Some(BackgroundNoise { signal: 1.0, noise: 1.0, streams: &streams });
    assert!(blend(&latent, &Background { mask: &fits, normal: &latent }, noise).unwrap_err().to_string().contains("1 streams"));
}
