use crate::autograd::Var;
use crate::ops::{Activation, concat, group_norm, silu};
use crate::tensor::Tensor;
use crate::testing::{assert_close, assert_devices_agree, assert_devices_agree_on_values, assert_gradients, random, relative_error};

fn constant(tensor: &Tensor) -> Var {
    Var::constant(tensor.clone())
}

/// The definition, in f64: x `[batch, positions, channels]`.
fn reference(x: &Tensor, weight: &[f32], bias: &[f32], groups: usize, epsilon: f64) -> Vec<f32> {
    let [batch, positions, channels] = x.dims().unwrap();
    let (values, width) = (x.to_f32_vec().unwrap(), channels / groups);
    let mut output = vec![0.0; values.len()];
    for sample in 0..batch {
        for group in 0..groups {
            let indices: Vec<usize> =
                (0..positions).flat_map(|position| (0..width).map(move |i| (sample * positions + position) * channels + group * width + i)).collect();
            let mean = indices.iter().map(|&i| f64::from(values[i])).sum::<f64>() / indices.len() as f64;
            let variance = indices.iter().map(|&i| (f64::from(values[i]) - mean).powi(2)).sum::<f64>() / indices.len() as f64;
            for &i in &indices {
                let normal = (f64::from(values[i]) - mean) / (variance + epsilon).sqrt();
                output[i] = (normal * f64::from(weight[i % channels]) + f64::from(bias[i % channels])) as f32;
            }
        }
    }
    output
}

#[test]
fn values_over_many_blocks_and_a_large_mean() {
    let (weight, bias) = (random("weight", &[24]), random("bias", &[24]));
    for offset in [0.0, 300.0] {
        let mut x = random("x", &[2, 3001, 24]);
        x.f32s_mut().unwrap().iter_mut().for_each(|value| *value += offset);
        let y = group_norm(&constant(&x), &constant(&weight), &constant(&bias), 6, 1e-5, Activation::Identity).unwrap();
        let expected = reference(&x, &weight.to_f32_vec().unwrap(), &bias.to_f32_vec().unwrap(), 6, 1e-5);
        let error = relative_error(&y.to_f32_vec().unwrap(), &expected);
        // The mean, 300 deviations from 0, is itself rounded to f32.
        assert!(error < 3e-7 * (1.0 + f64::from(offset) / 4.0), "offset {offset}: {error:.2e}");
    }
}

#[test]
fn the_fused_activation_is_the_separate_one() {
    let (x, weight, bias) = (constant(&random("x", &[2, 5, 4, 8])), constant(&random("weight", &[8])), constant(&random("bias", &[8])));
    let fused = group_norm(&x, &weight, &bias, 4, 1e-5, Activation::Silu).unwrap();
    let separate = silu(&group_norm(&x, &weight, &bias, 4, 1e-5, Activation::Identity).unwrap()).unwrap();
    assert_close(&fused, &separate, 0.0);
}

#[test]
fn gradients() {
    let inputs = [random("x", &[2, 3, 2, 6]), random("weight", &[6]), random("bias", &[6])];
    for groups in [1, 3, 6] {
        for activation in [Activation::Identity, Activation::Silu] {
            assert_gradients(&inputs, 1e-2, 5e-4, |v| group_norm(&v[0], &v[1], &v[2], groups, 1e-3, activation));
        }
    }
}

#[test]
fn a_sample_does_not_see_its_neighbours_or_the_threads() {
    let (x, weight, bias) = (random("x", &[3, 401, 64]), random("weight", &[64]), random("bias", &[64]));
    let run = |x: &Tensor, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = Var::leaf(x.clone());
            let y = group_norm(&x, &constant(&weight), &constant(&bias), 8, 1e-5, Activation::Silu).unwrap();
            let gradients = y.backward_from(x.tensor().clone()).unwrap();
            (y.to_f32_vec().unwrap(), gradients.get(&x).unwrap().to_f32_vec().unwrap())
        })
    };
    let all = run(&x, 3);
    assert_eq!(all, run(&x, 1));
    let length = 401 * 64;
    let second = Tensor::from_f32(x.to_f32_vec().unwrap()[length..2 * length].to_vec(), &[1, 401, 64]).unwrap();
    let alone = run(&second, 2);
    assert_eq!(all.0[length..2 * length], alone.0);
    assert_eq!(all.1[length..2 * length], alone.1);
}

#[test]
fn refusals() {
    let (x, six, five) = (constant(&Tensor::zeros(&[2, 3, 6])), constant(&Tensor::zeros(&[6])), constant(&Tensor::zeros(&[5])));
    let error = group_norm(&x, &six, &six, 4, 1e-5, Activation::Identity).unwrap_err().to_string();
    assert!(error.contains("4 groups do not divide 6 channels"), "{error}");
    assert!(group_norm(&x, &five, &six, 3, 1e-5, Activation::Identity).is_err());
    assert!(group_norm(&x, &six, &five, 3, 1e-5, Activation::Identity).is_err());
    assert!(group_norm(&x, &six, &six, 0, 1e-5, Activation::Identity).is_err());
    assert!(group_norm(&six, &six, &six, 3, 1e-5, Activation::Identity).is_err());
}

#[test]
fn gpus_agree_in_one_pass_and_in_two() {
    // The last two are too large for a group to stay in shared memory.
    for (shape, groups) in
        [(vec![1, 2, 4], 1), (vec![3, 5, 6], 3), (vec![2, 4, 9, 24], 6), (vec![1, 33, 320], 32), (vec![2, 1500, 24], 1), (vec![1, 3001, 7], 1)]
    {
        let channels = shape[shape.len() - 1];
        let inputs = [random("x", &shape), random("weight", &[channels]), random("bias", &[channels])];
        for activation in [Activation::Identity, Activation::Silu] {
            assert_devices_agree(&inputs, |v, _| group_norm(&v[0], &v[1], &v[2], groups, 1e-5, activation));
        }
    }
}

/// Groups that reach over the border between the tensors, with and without a gradient.
#[test]
fn channels_of_two_tensors_are_normalised_as_if_they_were_one() {
    for (outer, channels, groups) in [(vec![2, 5, 3], [3, 9], 4), (vec![1, 1300], [20, 12], 8), (vec![3, 4], [1, 7], 2)] {
        let part = |name: &str, channels: usize| random(name, &[&outer[..], &[channels]].concat());
        let (first, second) = (part("a", channels[0]), part("b", channels[1]));
        let sum = channels[0] + channels[1];
        let (weight, bias) = (constant(&random("weight", &[sum])), constant(&random("bias", &[sum])));
        for var in [Var::constant, Var::leaf] {
            let (first, second) = (var(first.clone()), var(second.clone()));
            let joined = concat(&[&first, &second], outer.len()).unwrap();
            let expected = group_norm(&joined, &weight, &bias, groups, 1e-5, Activation::Silu).unwrap();
            let found = group_norm([&first, &second], &weight, &bias, groups, 1e-5, Activation::Silu).unwrap();
            assert_eq!((found.shape(), found.wants_gradient()), (expected.shape(), first.wants_gradient()));
            assert_eq!(found.to_f32_vec().unwrap(), expected.to_f32_vec().unwrap());
        }
    }
}

#[test]
fn gpus_agree_on_channels_of_two_tensors() {
    // Whole packs and odd channels; a group in shared memory, and groups too large for it.
    for (outer, channels, groups) in
        [(vec![3, 5], [2, 4], 3), (vec![2, 4, 9], [16, 8], 6), (vec![1, 33], [320, 160], 32), (vec![2, 1500], [8, 16], 1), (vec![1, 3001], [3, 4], 1)]
    {
        let part = |name: &str, channels: usize| random(name, &[&outer[..], &[channels]].concat());
        let sum = channels[0] + channels[1];
        let inputs = [part("a", channels[0]), part("b", channels[1]), random("weight", &[sum]), random("bias", &[sum])];
        assert_devices_agree_on_values(&inputs, |v, _| group_norm([&v[0], &v[1]], &v[2], &v[3], groups, 1e-5, Activation::Silu));
    }
}
