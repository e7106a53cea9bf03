use super::{LinearEpilogue, linear, linear_with};
use crate::autograd::Var;
use crate::error::exit_code;
use crate::ops;
use crate::tensor::{DType, Tensor};
use crate::testing::{assert_close, assert_devices_agree, assert_devices_agree_on_values, assert_gradients, random};

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

const ACTIVATIONS: [LinearEpilogue; 4] = [LinearEpilogue::Silu, LinearEpilogue::Gelu, LinearEpilogue::QuickGelu, LinearEpilogue::Geglu];

/// The same numbers as the ops behind each other, with and without gradients.
#[test]
fn what_is_fused_behind_it_is_what_would_follow() {
    for (rows, inputs, outputs) in [(5, 3, 8), (130, 40, 66), (2, 300, 140)] {
        let leaves = |var: fn(Tensor) -> Var| {
            [random("x", &[2, rows, inputs]), random("w", &[outputs, inputs]), random("b", &[outputs]), random("r", &[2, rows, outputs])].map(var)
        };
        for var in [Var::constant, Var::leaf] {
            let [x, weight, bias, residual] = leaves(var);
            for epilogue in ACTIVATIONS.into_iter().chain([LinearEpilogue::Residual(&residual)]) {
                let found = linear_with(&x, &weight, Some(&bias), epilogue).unwrap();
                let expected = linear(&x, &weight, Some(&bias)).unwrap();
                let expected = match (epilogue, epilogue.activation_op()) {
                    (LinearEpilogue::Residual(residual), _) => ops::add(&expected, residual).unwrap(),
                    (_, activation) => activation.unwrap()(&expected).unwrap(),
                };
                assert_eq!((found.shape(), found.wants_gradient()), (expected.shape(), x.wants_gradient()), "{epilogue:?}");
                assert_eq!(found.to_f32_vec().unwrap(), expected.to_f32_vec().unwrap(), "{epilogue:?}");
            }
        }
    }
    let inputs = [random("x", &[2, 3, 5]), random("w", &[4, 5]), random("b", &[4]), random("r", &[2, 3, 4])];
    assert_gradients(&inputs, 1e-1, 1e-4, |v| linear_with(&v[0], &v[1], Some(&v[2]), LinearEpilogue::Residual(&v[3])));
    for epilogue in ACTIVATIONS {
        assert_gradients(&inputs[..3], 1e-2, 1e-3, |v| linear_with(&v[0], &v[1], Some(&v[2]), epilogue));
    }
}

/// The layer of an input that was multiplied before; few rows, many, and a depth of several blocks.
#[test]
fn a_scaled_product_is_that_of_a_scaled_input() {
    const SCALE: f32 = 0.3;
    for (rows, inputs, outputs) in [(5, 3, 8), (130, 40, 66), (2, 300, 400)] {
        let (x, weight, bias) = (random("x", &[2, rows, inputs]), random("w", &[outputs, inputs]), constant(&random("b", &[outputs])));
        let leaves = || [Var::leaf(x.clone()), Var::leaf(weight.clone())];
        let (fused, apart) = (leaves(), leaves());
        let found = linear_with(&fused[0], &fused[1], Some(&bias), LinearEpilogue::Scale(SCALE)).unwrap();
        let expected = linear(&ops::affine(&apart[0], SCALE, 0.0).unwrap(), &apart[1], Some(&bias)).unwrap();
        assert_close(&found, &expected, 1e-6);
        let gradient = random("g", found.shape());
        let (found, expected) = (found.backward_from(gradient.clone()).unwrap(), expected.backward_from(gradient).unwrap());
        for (fused, apart) in fused.iter().zip(&apart) {
            assert_close(found.get(fused).unwrap(), expected.get(apart).unwrap(), 1e-6);
        }
    }
    let inputs = [random("x", &[2, 3, 5]), random("w", &[4, 5]), random("b", &[4])];
    assert_gradients(&inputs, 1e-1, 1e-4, |v| linear_with(&v[0], &v[1], Some(&v[2]), LinearEpilogue::Scale(SCALE)));
}

#[test]
fn refuses_what_cannot_follow_it() {
    let var = |shape: &[usize]| Var::constant(Tensor::zeros(shape));
    let (x, weight, residual) = (var(&[2, 4]), var(&[3, 4]), var(&[2, 4]));
    let refused = |epilogue| {
        let error = linear_with(&x, &weight, None, epilogue).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        error.to_string()
    };
    assert!(refused(LinearEpilogue::Residual(&residual)).contains("a residual of shape [2, 3], found [2, 4]"));
    assert!(refused(LinearEpilogue::Geglu).contains("halves its outputs, found 3"));
}

#[test]
fn gpus_agree_on_what_is_fused_behind_it() {
    // Halves that end within a tile and within a pack, rows beyond a tile, a depth that is divided, odd channels; every route.
    for (rows, inputs, outputs) in [(1, 8, 16), (130, 72, 272), (3, 2080, 48), (77, 64, 176), (70, 40, 520), (66, 16, 20), (5, 33, 66)] {
        let inputs = [random("x", &[2, rows, inputs]), random("w", &[outputs, inputs]), random("b", &[outputs]), random("r", &[2, rows, outputs])];
        for epilogue in ACTIVATIONS {
            assert_devices_agree_on_values(&inputs[..3], |v, _| linear_with(&v[0], &v[1], Some(&v[2]), epilogue));
            assert_devices_agree_on_values(&inputs[..2], |v, _| linear_with(&v[0], &v[1], None, epilogue));
        }
        assert_devices_agree(&inputs, |v, _| linear_with(&v[0], &v[1], Some(&v[2]), LinearEpilogue::Residual(&v[3])));
        assert_devices_agree(&inputs[..3], |v, _| linear_with(&v[0], &v[1], Some(&v[2]), LinearEpilogue::Scale(-0.3)));
    }
}
