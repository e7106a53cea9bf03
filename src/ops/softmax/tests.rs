use crate::autograd::Var;
use crate::ops::{softmax, softmax_cross_entropy};
use crate::tensor::Tensor;
use crate::testing::{assert_close, assert_devices_agree, assert_gradients, random};

#[test]
fn values_by_hand() {
    let x = Var::constant(Tensor::from_f32(vec![0.0, 3.0f32.ln(), -1000.0, 1000.0], &[2, 2]).unwrap());
    assert_close(&softmax(&x).unwrap(), &Tensor::from_f32(vec![0.25, 0.75, 0.0, 1.0], &[2, 2]).unwrap(), 2e-7);
    let labels = Tensor::from_i32(vec![1, 0], &[2]).unwrap();
    let expected = ((4.0f64 / 3.0).ln() + 2000.0) / 2.0;
    let found = f64::from(softmax_cross_entropy(&x, &labels).unwrap().item().unwrap());
    assert!((found - expected).abs() < 1e-4, "{found}, expected {expected}");
}

#[test]
fn rows_of_any_length_sum_to_one() {
    for classes in [1, 2, 31, 32, 33, 1000] {
        let p = softmax(&random("x", &[5, classes]).into()).unwrap().to_f32_vec().unwrap();
        for row in p.chunks(classes) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{classes} classes");
        }
    }
}

#[test]
fn gradients() {
    let x = random("x", &[2, 3, 4]);
    assert_gradients(std::slice::from_ref(&x), 1e-2, 3e-4, |v| softmax(&v[0]));
    let labels = Tensor::from_i32(vec![0, 3, 1, 1, 2, 0], &[2, 3]).unwrap();
    assert_gradients(&[x], 1e-2, 3e-4, |v| softmax_cross_entropy(&v[0], &labels));
}

#[test]
fn refusals() {
    let x = Var::constant(Tensor::zeros(&[2, 3]));
    for label in [-1, 3] {
        let error = softmax_cross_entropy(&x, &Tensor::from_i32(vec![0, label], &[2]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("3 classes"), "{error}");
    }
    assert!(softmax_cross_entropy(&x, &Tensor::from_i32(vec![0], &[1]).unwrap()).is_err());
    assert!(softmax_cross_entropy(&x, &Tensor::zeros(&[2])).is_err());
    assert!(softmax(&Tensor::zeros(&[2, 0]).into()).is_err());
}

#[test]
fn gpus_agree() {
    for (rows, classes) in [(9, 5), (3, 33), (17, 100)] {
        let x = random("x", &[rows, classes]);
        assert_devices_agree(std::slice::from_ref(&x), |v, _| softmax(&v[0]));
        let labels = Tensor::from_i32((0..rows).map(|row| (row * 7 % classes) as i32).collect::<Vec<_>>(), &[rows]).unwrap();
        assert_devices_agree(&[x], |v, _| softmax_cross_entropy(&v[0], &labels));
    }
}
