use crate::autograd::Var;
use crate::ops::{Activation, BatchNormMode, batch_norm, group_norm};
use crate::tensor::Tensor;
use crate::testing::{assert_close, assert_devices_agree, assert_gradients, devices, random};

#[test]
fn the_batch_is_normalised_and_its_statistics_come_back() {
    let x = Tensor::from_f32(vec![1.0, 10.0, 2.0, 20.0, 3.0, 60.0], &[3, 1, 1, 2]).unwrap();
    let (weight, bias) = (Var::constant(Tensor::full(2.0, &[2])), Var::constant(Tensor::full(1.0, &[2])));
    let (y, statistics) = batch_norm(&x.into(), &weight, &bias, BatchNormMode::Batch, 0.0).unwrap();
    let statistics = statistics.unwrap();
    assert_eq!(statistics.mean.to_f32_vec().unwrap(), [2.0, 30.0]);
    assert_eq!(statistics.unbiased_variance.to_f32_vec().unwrap(), [1.0, 700.0]);
    let (a, b) = ((2.0f32 / 3.0).sqrt(), (1400.0f32 / 3.0).sqrt());
    let expected = [-1.0 / a, -20.0 / b, 0.0, -10.0 / b, 1.0 / a, 30.0 / b].map(|value| 2.0 * value + 1.0);
    assert_close(&y, &Tensor::from_f32(expected.to_vec(), &[3, 1, 1, 2]).unwrap(), 3e-7);
}

#[test]
fn running_statistics_normalise_each_sample_alone() {
    let (mean, variance) = (random("mean", &[3]), Tensor::from_f32(vec![0.5, 2.0, 4.0], &[3]).unwrap());
    let mode = BatchNormMode::Running { mean: &mean, variance: &variance };
    let (weight, bias) = (Var::constant(random("weight", &[3])), Var::constant(random("bias", &[3])));
    let x = random("x", &[2, 4, 3]);
    let (both, statistics) = batch_norm(&x.clone().into(), &weight, &bias, mode, 1e-5).unwrap();
    assert!(statistics.is_none());
    let second = Tensor::from_f32(x.to_f32_vec().unwrap()[12..].to_vec(), &[1, 4, 3]).unwrap();
    let (alone, _) = batch_norm(&second.into(), &weight, &bias, mode, 1e-5).unwrap();
    assert_eq!(both.to_f32_vec().unwrap()[12..], alone.to_f32_vec().unwrap());
    let first = (x.to_f32_vec().unwrap()[0] - mean.to_f32_vec().unwrap()[0]) / 0.500_01f32.sqrt();
    let expected = first * weight.to_f32_vec().unwrap()[0] + bias.to_f32_vec().unwrap()[0];
    assert!((both.to_f32_vec().unwrap()[0] - expected).abs() < 1e-6);
}

#[test]
fn one_image_is_group_norm_with_a_group_per_channel() {
    let (x, weight, bias) = (Var::constant(random("x", &[1, 9, 7, 4])), Var::constant(random("weight", &[4])), Var::constant(random("bias", &[4])));
    let (y, _) = batch_norm(&x, &weight, &bias, BatchNormMode::Batch, 1e-5).unwrap();
    assert_close(&y, &group_norm(&x, &weight, &bias, 4, 1e-5, Activation::Identity).unwrap(), 0.0);
}

#[test]
fn gradients() {
    let inputs = [random("x", &[2, 3, 2, 3]), random("weight", &[3]), random("bias", &[3])];
    assert_gradients(&inputs, 1e-2, 5e-4, |v| Ok(batch_norm(&v[0], &v[1], &v[2], BatchNormMode::Batch, 1e-3)?.0));
    let (mean, variance) = (random("mean", &[3]), Tensor::from_f32(vec![0.5, 2.0, 4.0], &[3]).unwrap());
    let mode = BatchNormMode::Running { mean: &mean, variance: &variance };
    assert_gradients(&inputs, 1e-2, 2e-4, |v| Ok(batch_norm(&v[0], &v[1], &v[2], mode, 1e-3)?.0));
}

#[test]
fn refusals() {
    let (x, three, two) = (Var::constant(Tensor::zeros(&[2, 2, 3])), Tensor::zeros(&[3]), Tensor::zeros(&[2]));
    let (weight, wrong) = (Var::constant(three.clone()), Var::constant(two.clone()));
    assert!(batch_norm(&x, &wrong, &weight, BatchNormMode::Batch, 1e-5).is_err());
    let mode = BatchNormMode::Running { mean: &three, variance: &two };
    let error = batch_norm(&x, &weight, &weight, mode, 1e-5).unwrap_err().to_string();
    assert!(error.contains("[3] and [2]"), "{error}");
    let single = Var::constant(Tensor::zeros(&[1, 3]));
    let error = batch_norm(&single, &weight, &weight, BatchNormMode::Batch, 1e-5).unwrap_err().to_string();
    assert!(error.contains("more than one"), "{error}");
}

#[test]
fn gpus_agree() {
    let inputs = [random("x", &[3, 5, 4, 7]), random("weight", &[7]), random("bias", &[7])];
    assert_devices_agree(&inputs, |v, _| Ok(batch_norm(&v[0], &v[1], &v[2], BatchNormMode::Batch, 1e-5)?.0));
    let (mean, variance) = (random("mean", &[7]), Tensor::full(0.7, &[7]));
    assert_devices_agree(&inputs, |v, device| {
        let (mean, variance) = (mean.to_device(device)?, variance.to_device(device)?);
        Ok(batch_norm(&v[0], &v[1], &v[2], BatchNormMode::Running { mean: &mean, variance: &variance }, 1e-5)?.0)
    });
    for device in devices() {
        let [x, weight, bias] = inputs.clone().map(|input| Var::constant(input.to_device(device).unwrap()));
        let found = batch_norm(&x, &weight, &bias, BatchNormMode::Batch, 1e-5).unwrap().1.unwrap();
        let [x, weight, bias] = inputs.clone().map(Var::constant);
        let expected = batch_norm(&x, &weight, &bias, BatchNormMode::Batch, 1e-5).unwrap().1.unwrap();
        assert_close(&found.mean, &expected.mean, 1e-5);
        assert_close(&found.unbiased_variance, &expected.unbiased_variance, 1e-5);
    }
}
