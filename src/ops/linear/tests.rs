use super::linear;
use crate::autograd::Var;
use crate::error::exit_code;
use crate::tensor::{DType, Tensor};
use crate::testing::{assert_close, assert_devices_agree, assert_gradients, random};

fn constant(tensor: &Tensor) -> Var {
    Var::constant(tensor.clone())
}

/// The definition, one output at a time.
fn naive(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    let [outputs, inputs] = weight.dims().unwrap();
    let (x_data, weight, bias) = (x.to_f32_vec().unwrap(), weight.to_f32_vec().unwrap(), bias.to_f32_vec().unwrap());
    let mut output = Vec::new();
    for row in x_data.chunks(inputs) {
        for (weights, bias) in weight.chunks(inputs).zip(&bias) {
            let sum: f64 = row.iter().zip(weights).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            output.push((sum + f64::from(*bias)) as f32);
        }
    }
    let mut shape = x.shape().to_vec();
    *shape.last_mut().unwrap() = outputs;
    Tensor::from_f32(output, &shape).unwrap()
}

#[test]
fn values() {
    for (shape, outputs) in [(vec![5], 7), (vec![2, 3, 17], 5), (vec![1, 300], 130), (vec![77, 64], 33), (vec![0, 4], 3)] {
        let inputs = *shape.last().unwrap();
        let (x, weight, bias) = (random("x", &shape), random("w", &[outputs, inputs]), random("b", &[outputs]));
        let found = linear(&constant(&x), &constant(&weight), Some(&constant(&bias))).unwrap();
        assert_close(&found, &naive(&x, &weight, &bias), 1e-6);
        let unbiased = linear(&constant(&x), &constant(&weight), None).unwrap();
        assert_close(&unbiased, &naive(&x, &weight, &Tensor::zeros(&[outputs])), 1e-6);
    }
}

#[test]
fn gradients() {
    let inputs = [random("x", &[2, 3, 5]), random("w", &[4, 5]), random("b", &[4])];
    assert_gradients(&inputs, 1e-1, 1e-4, |vars| linear(&vars[0], &vars[1], Some(&vars[2])));
    assert_gradients(&inputs[..2], 1e-1, 1e-4, |vars| linear(&vars[0], &vars[1], None));
}

#[test]
fn rows_do_not_influence_each_other() {
    let (x, weight) = (random("x", &[4, 130, 300]), random("w", &[70, 300]));
    let batch = linear(&constant(&x), &constant(&weight), None).unwrap().to_f32_vec().unwrap();
    let values = x.to_f32_vec().unwrap();
    for (index, expected) in batch.chunks(130 * 70).enumerate() {
        let one = Tensor::from_f32(values[index * 130 * 300..(index + 1) * 130 * 300].to_vec(), &[130, 300]).unwrap();
        assert_eq!(linear(&constant(&one), &constant(&weight), None).unwrap().to_f32_vec().unwrap(), expected);
    }
}

#[test]
fn the_element_type_of_x_is_kept() {
    let x = random("x", &[3, 8]).to_dtype(DType::F16).unwrap();
    let weight = random("w", &[2, 8]);
    let found = linear(&constant(&x), &constant(&weight), None).unwrap();
    assert_eq!(found.dtype(), DType::F16);
    assert_close(&found, &naive(&x, &weight, &Tensor::zeros(&[2])), 1e-3);
}

#[test]
fn refuses_shapes_that_do_not_fit() {
    let refused = |x: &[usize], weight: &[usize], bias: &[usize]| {
        let var = |shape: &[usize]| Var::constant(Tensor::zeros(shape));
        let error = linear(&var(x), &var(weight), Some(&var(bias))).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        error.to_string()
    };
    assert!(refused(&[2, 3], &[4, 5], &[4]).contains("takes 5 inputs, found x of shape [2, 3]"));
    assert!(refused(&[2, 5], &[4, 5], &[5]).contains("expected a bias [4], found shape [5]"));
    assert!(refused(&[2, 5], &[4, 5, 1], &[4]).contains("[out, in]"));
    assert!(refused(&[], &[4, 5], &[4]).contains("scalar"));
}

#[test]
fn gpus_agree_on_ragged_shapes() {
    for (shape, outputs) in [(vec![1, 8], 8), (vec![2, 5, 40], 16), (vec![77, 72], 136), (vec![130, 2080], 24), (vec![3, 5], 7), (vec![70, 33], 65)] {
        let inputs = [random("x", &shape), random("w", &[outputs, shape[shape.len() - 1]]), random("b", &[outputs])];
        assert_devices_agree(&inputs, |v, _| linear(&v[0], &v[1], Some(&v[2])));
        assert_devices_agree(&inputs[..2], |v, _| linear(&v[0], &v[1], None));
    }
}
