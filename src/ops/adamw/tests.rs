use super::*;
use crate::testing::{devices, random};

const COMMON: Common = Common { scale: 0.5, beta2: 0.99, one_minus_beta1: 0.1, one_minus_beta2: 0.01, epsilon: 1e-8 };
const SIZES: [&[usize]; 5] = [&[3], &[0], &[2, 5], &[4096], &[9001]];

fn parameters(device: Device) -> Vec<Parameter> {
    let parameter = |(index, shape): (usize, &&[usize])| {
        let there = |name: &str| random(&format!("{name} {index}"), shape).to_device(device).unwrap();
        let squares: Vec<f32> = random(&format!("second {index}"), shape).to_f32_vec().unwrap().iter().map(|x| x * x).collect();
        Parameter {
            value: there("value"),
            first: there("first"),
            second: Tensor::from_f32(squares, shape).unwrap().to_device(device).unwrap(),
            gradient: (index != 2).then(|| there("gradient")),
            own: Own { keep: 0.999, decay: 0.01 * index as f32, correction: 0.3, step: -0.02 },
        }
    };
    SIZES.iter().enumerate().map(parameter).collect()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_f32_vec().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_step_by_hand() {
    let one = |value: f32| Tensor::from_f32(vec![value], &[1]).unwrap();
    let own = Own { keep: 0.5, decay: 0.0, correction: 0.5, step: -1.0 };
    let parameter = Parameter { value: one(4.0), first: one(0.0), second: one(0.0), gradient: Some(one(20.0)), own };
    let moved = adamw(&[parameter], &COMMON).unwrap().remove(0);
    // The gradient is 10: m = 1, v = 1, 4 / 2 - 1 / (1 / 0.5), but for the rounding of 0.1 and 0.01.
    for (found, expected) in [(&moved.first, 1.0), (&moved.second, 1.0), (&moved.value, 1.5)] {
        assert!((found.item().unwrap() - expected).abs() < 1e-6, "{found:?}: expected {expected}");
    }
}

#[test]
fn gpus_agree_in_every_bit() {
    for device in devices() {
        for (found, expected) in adamw(&parameters(device), &COMMON).unwrap().iter().zip(&adamw(&parameters(Device::Cpu), &COMMON).unwrap()) {
            for (found, expected) in [(&found.value, &expected.value), (&found.first, &expected.first), (&found.second, &expected.second)] {
                assert_eq!((found.device(), bits(found)), (device, bits(expected)));
            }
        }
        let averages = |device| {
            let pairs: Vec<_> = parameters(device).into_iter().map(|parameter| (parameter.value, parameter.first)).collect();
            moving_averages(&pairs, 0.3).unwrap()
        };
        assert_eq!(averages(device).iter().map(bits).collect::<Vec<_>>(), averages(Device::Cpu).iter().map(bits).collect::<Vec<_>>());
    }
}

#[test]
fn gpus_agree_on_square_sums() {
    for device in devices() {
        let sums = |device| square_sums(&parameters(device).into_iter().map(|parameter| parameter.value).collect::<Vec<_>>()).unwrap();
        for (found, expected) in sums(device).into_iter().zip(sums(Device::Cpu)) {
            assert!((found - expected).abs() <= 1e-6 * expected, "{found}, expected {expected}");
        }
        let bad = Tensor::from_f32(vec![1.0, f32::NAN], &[2]).unwrap().to_device(device).unwrap();
        assert!(!square_sums(&[bad]).unwrap()[0].is_finite());
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let mut wrong = parameters(Device::Cpu).remove(0);
    wrong.first = Tensor::zeros(&[4]);
    assert!(adamw(&[wrong], &COMMON).unwrap_err().to_string().contains("[3]"));
    assert!(moving_averages(&[(Tensor::zeros(&[2]), Tensor::zeros(&[3]))], 0.1).is_err());
}
