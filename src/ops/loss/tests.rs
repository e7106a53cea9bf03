use crate::autograd::Var;
use crate::ops::{MaskedMean, masked_mse, mean, mse, sum};
use crate::tensor::{DType, Tensor};
use crate::testing::{assert_devices_agree, assert_gradients, random};

#[test]
fn sums_and_means() {
    let x = Var::leaf(random("sum", &[3, 50_001]));
    let expected: f64 = x.to_f32_vec().unwrap().iter().map(|&value| f64::from(value)).sum();
    let error = (f64::from(sum(&x).unwrap().item().unwrap()) - expected).abs();
    assert!(error < 1e-6 * x.elements() as f64, "{error}");
    let gradients = mean(&x).unwrap().backward().unwrap();
    assert_eq!(gradients.get(&x).unwrap().to_f32_vec().unwrap()[7], 1.0 / 150_003.0);
    assert!(mean(&Tensor::zeros(&[0]).into()).is_err());
}

#[test]
fn masked_losses_by_hand() {
    let prediction = Var::constant(Tensor::zeros(&[2, 1, 2, 2]));
    let target = Tensor::from_f32(vec![1.0, 2.0, 5.0, 5.0, 3.0, 4.0, 1.0, 1.0], &[2, 1, 2, 2]).unwrap();
    let mask = Tensor::from_f32(vec![1.0, 0.0, 1.0, 1.0], &[2, 1, 2, 1]).unwrap();
    let loss = |mean| masked_mse(&prediction, &target, &mask, mean).unwrap().item().unwrap();
    assert_eq!(loss(MaskedMean::Elements), (1.0 + 4.0 + 9.0 + 16.0 + 1.0 + 1.0) / 8.0);
    assert_eq!(loss(MaskedMean::MaskArea), ((1.0 + 4.0) / 2.0 + (9.0 + 16.0 + 1.0 + 1.0) / 4.0) / 2.0);
    assert_eq!(mse(&prediction, &target).unwrap().item().unwrap(), 82.0 / 8.0);
    let empty = masked_mse(&prediction, &target, &Tensor::zeros(&[2, 1, 2, 1]), MaskedMean::MaskArea).unwrap();
    assert_eq!(empty.item().unwrap(), 0.0);
}

#[test]
fn gradients() {
    let (x, target) = (random("x", &[2, 3, 2, 2]), random("target", &[2, 3, 2, 2]));
    let mask = Tensor::from_f32((0..12).map(|i| (i % 3) as f32 / 2.0).collect::<Vec<_>>(), &[2, 3, 2, 1]).unwrap();
    for mean in [MaskedMean::Elements, MaskedMean::MaskArea] {
        assert_gradients(std::slice::from_ref(&x), 1e-2, 1e-4, |v| masked_mse(&v[0], &target, &mask, mean));
    }
    assert_gradients(std::slice::from_ref(&x), 1e-2, 1e-4, |v| mse(&v[0], &target));
    assert_gradients(std::slice::from_ref(&x), 1e-2, 1e-4, |v| sum(&v[0]));
    assert_gradients(&[x], 1e-2, 1e-4, |v| mean(&v[0]));
}

#[test]
fn refusals_name_both_sides() {
    let x = Var::constant(Tensor::zeros(&[2, 3, 2, 4]));
    let error = masked_mse(&x, &Tensor::zeros(&[2, 3, 2, 4]), &Tensor::zeros(&[2, 3, 2, 4]), MaskedMean::Elements).unwrap_err().to_string();
    assert!(error.contains("mask [2, 3, 2, 1]") && error.contains("[2, 3, 2, 4]"), "{error}");
    assert!(mse(&x, &Tensor::zeros(&[2, 3])).is_err());
}

#[test]
fn gpus_agree() {
    for size in [[1, 1, 1, 1], [3, 5, 7, 4], [2, 60, 50, 3]] {
        let (x, target) = (random("x", &size), random("target", &size).to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap());
        let cells = size[0] * size[1] * size[2];
        // In the second sample nothing is masked.
        let mask: Vec<f32> = (0..cells).map(|i| if i / (size[1] * size[2]) == 1 { 0.0 } else { ((i + 1) % 3) as f32 / 2.0 }).collect();
        let mask = Tensor::from_f32(mask, &[size[0], size[1], size[2], 1]).unwrap();
        for mean in [MaskedMean::Elements, MaskedMean::MaskArea] {
            let loss = |v: &[Var], device| masked_mse(&v[0], &target.to_device(device)?, &mask.to_device(device)?, mean);
            assert_devices_agree(std::slice::from_ref(&x), loss);
        }
        assert_devices_agree(std::slice::from_ref(&x), |v, device| mse(&v[0], &target.to_device(device)?));
        assert_devices_agree(&[x], |v, _| sum(&v[0]));
    }
    // Few elements: the gradient of a large mean is among f16's subnormal numbers.
    assert_devices_agree(&[random("x", &[3, 50])], |v, _| mean(&v[0]));
}
