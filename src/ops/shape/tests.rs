use crate::autograd::Var;
use crate::ops::{concat, embedding, narrow, reshape, rows};
use crate::tensor::{DType, Tensor};
use crate::testing::{assert_devices_agree, assert_gradients, random};

fn counting(shape: &[usize]) -> Tensor {
    let elements: usize = shape.iter().product();
    Tensor::from_f32((0..elements).map(|i| i as f32).collect::<Vec<_>>(), shape).unwrap()
}

#[test]
fn concat_and_narrow_are_inverse_on_every_axis() {
    let x = Var::constant(counting(&[2, 3, 4]));
    for axis in 0..3 {
        let first = narrow(&x, axis, 0, 1).unwrap();
        let rest = narrow(&x, axis, 1, x.dim(axis) - 1).unwrap();
        assert_eq!(concat(&[&first, &rest], axis).unwrap().to_f32_vec().unwrap(), x.to_f32_vec().unwrap(), "axis {axis}");
    }
    assert_eq!(narrow(&x, 1, 1, 1).unwrap().to_f32_vec().unwrap(), [4., 5., 6., 7., 16., 17., 18., 19.]);
    assert_eq!(concat(&[&x, &x], 2).unwrap().shape(), [2, 3, 8]);
}

#[test]
fn other_element_types_are_copied_as_they_are() {
    let ids = Var::constant(Tensor::from_i32(vec![1, 2, 3, 4], &[2, 2]).unwrap());
    assert_eq!(concat(&[&ids, &ids], 1).unwrap().i32s().unwrap(), [1, 2, 1, 2, 3, 4, 3, 4]);
    let half = Var::constant(counting(&[4]).to_dtype(DType::F16).unwrap());
    assert_eq!(narrow(&half, 0, 2, 2).unwrap().dtype(), DType::F16);
    assert!(concat(&[&ids, &Tensor::zeros(&[2, 2]).into()], 1).is_err());
}

#[test]
fn gradients() {
    let inputs = [random("a", &[2, 3, 2]), random("b", &[2, 1, 2])];
    assert_gradients(&inputs, 1e-2, 1e-4, |v| concat(&[&v[0], &v[1], &v[0]], 1));
    assert_gradients(&inputs[..1], 1e-2, 1e-4, |v| narrow(&v[0], 1, 1, 1));
    assert_gradients(&inputs[..1], 1e-2, 1e-4, |v| reshape(&v[0], &[4, 3]));
    let ids = Tensor::from_i32(vec![2, 0, 2], &[3]).unwrap();
    assert_gradients(&[random("table", &[4, 3])], 1e-2, 1e-4, |v| embedding(&v[0], &ids));
}

#[test]
fn a_gradient_that_is_not_wanted_is_not_made() {
    let (a, b) = (Var::constant(counting(&[2])), Var::leaf(counting(&[3])));
    let gradients = concat(&[&a, &b], 0).unwrap().backward_from(counting(&[5])).unwrap();
    assert_eq!(gradients.get(&b).unwrap().to_f32_vec().unwrap(), [2.0, 3.0, 4.0]);
    assert!(gradients.get(&a).is_none());
}

#[test]
fn refusals() {
    let x = Var::constant(counting(&[2, 3]));
    assert!(reshape(&x, &[5]).is_err());
    assert!(narrow(&x, 2, 0, 1).is_err());
    assert!(narrow(&x, 1, 2, 2).is_err());
    assert!(narrow(&x, 1, usize::MAX, 2).is_err());
    assert!(concat(&[], 0).is_err());
    assert!(concat(&[&x, &Tensor::zeros(&[3, 3]).into()], 1).is_err());
    for id in [-1, 2] {
        let error = embedding(&x, &Tensor::from_i32(vec![id], &[1]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("2 rows"), "{error}");
        assert!(rows(&x, &Tensor::from_i32(vec![id], &[1]).unwrap()).is_err());
    }
    assert!(embedding(&x, &Tensor::zeros(&[1])).is_err());
}

#[test]
fn gpus_agree() {
    let inputs = [random("a", &[2, 3, 5]), random("b", &[2, 1, 5])];
    assert_devices_agree(&inputs, |v, _| concat(&[&v[0], &v[1], &v[0]], 1));
    assert_devices_agree(&[random("a", &[6, 8]), random("b", &[6, 16])], |v, _| concat(&[&v[0], &v[1]], 1));
    for (axis, start, length) in [(1, 1, 1), (0, 1, 1), (2, 2, 3)] {
        assert_devices_agree(&inputs[..1], |v, _| narrow(&v[0], axis, start, length));
    }
    let ids = Tensor::from_i32(vec![2, 0, 2, 3], &[2, 2]).unwrap();
    assert_devices_agree(&[random("table", &[4, 300])], |v, _| embedding(&v[0], &ids));
    for device in crate::testing::devices() {
        let table = random("table", &[4, 300]);
        let found = rows(&table.to_device(device).unwrap(), &ids.to_device(device).unwrap()).unwrap();
        assert_eq!(found.to_f32_vec().unwrap(), embedding(&Var::constant(table), &ids).unwrap().to_f32_vec().unwrap(), "{device}");
    }
}
