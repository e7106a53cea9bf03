use crate::autograd::Var;
use crate::ops::layer_norm;
use crate::tensor::Tensor;
use crate::testing::{assert_devices_agree, assert_gradients, random, relative_error};

#[test]
fn values_follow_the_definition() {
    for channels in [1, 7, 33, 320] {
        let (x, weight, bias) = (random("x", &[2, 75, channels]), random("weight", &[channels]), random("bias", &[channels]));
        let y = layer_norm(&x.clone().into(), &weight.clone().into(), &bias.clone().into(), 1e-5).unwrap();
        let (weight, bias) = (weight.to_f32_vec().unwrap(), bias.to_f32_vec().unwrap());
        let mut expected = Vec::new();
        for row in x.to_f32_vec().unwrap().chunks(channels) {
            let mean = row.iter().map(|&value| f64::from(value)).sum::<f64>() / channels as f64;
            let variance = row.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / channels as f64;
            let normal = row.iter().map(|&value| (f64::from(value) - mean) / (variance + 1e-5).sqrt());
            expected.extend(normal.zip(&weight).zip(&bias).map(|((normal, &w), &b)| (normal * f64::from(w) + f64::from(b)) as f32));
        }
        let error = relative_error(&y.to_f32_vec().unwrap(), &expected);
        assert!(error < 3e-7, "{channels} channels: {error:.2e}");
    }
}

#[test]
fn gradients() {
    let inputs = [random("x", &[2, 3, 5]), random("weight", &[5]), random("bias", &[5])];
    assert_gradients(&inputs, 1e-2, 5e-4, |v| layer_norm(&v[0], &v[1], &v[2], 1e-3));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let inputs = [random("x", &[500, 96]), random("weight", &[96]), random("bias", &[96])];
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let leaves = inputs.clone().map(Var::leaf);
            let y = layer_norm(&leaves[0], &leaves[1], &leaves[2], 1e-5).unwrap();
            let gradients = y.backward_from(inputs[0].clone()).unwrap();
            leaves.map(|leaf| gradients.get(&leaf).unwrap().to_f32_vec().unwrap())
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn refusals() {
    let (x, wrong) = (Var::constant(Tensor::zeros(&[2, 6])), Var::constant(Tensor::zeros(&[5])));
    let error = layer_norm(&x, &wrong, &wrong, 1e-5).unwrap_err().to_string();
    assert!(error.contains("[6]") && error.contains("[5]"), "{error}");
    assert!(layer_norm(&Tensor::zeros(&[]).into(), &wrong, &wrong, 1e-5).is_err());
}

#[test]
fn gpus_agree_on_rows_of_any_length() {
    for (rows, channels) in [(1, 7), (9, 33), (75, 320), (3, 1280), (2, 2600), (10, 3)] {
        let inputs = [random("x", &[rows, channels]), random("weight", &[channels]), random("bias", &[channels])];
        assert_devices_agree(&inputs, |v, _| layer_norm(&v[0], &v[1], &v[2], 1e-5));
    }
}
