use crate::autograd::Var;
use crate::ops::{affine, focal_loss};
use crate::tensor::Tensor;
use crate::testing::{assert_devices_agree, assert_gradients, random};

fn mask(count: usize) -> Tensor {
    Tensor::from_f32((0..count).map(|i| (i % 3 / 2) as f32).collect::<Vec<_>>(), &[1, 1, count, 1]).unwrap()
}

/// The definition, written as `loss.py` has it: a clamped one-hot target, plus the smoothing term.
fn by_definition(logits: &[f32], mask: &[f32]) -> f64 {
    let smooth = 1e-5;
    let pixels = logits.chunks(2).zip(mask).map(|(logits, &mask)| {
        let [a, b] = [0, 1].map(|class| f64::from(logits[class]).exp());
        let probabilities = [a / (a + b), b / (a + b)];
        let target = if mask == 1.0 { [smooth, 1.0 - smooth] } else { [1.0 - smooth, smooth] };
        let p = probabilities[0] * target[0] + probabilities[1] * target[1] + smooth;
        -(1.0 - p).powi(2) * p.ln()
    });
    pixels.sum::<f64>() / mask.len() as f64
}

#[test]
fn values_by_definition() {
    for (count, scale) in [(1, 1.0), (7, 4.0), (20_000, 2.0)] {
        let logits: Vec<f32> = random("logits", &[1, 1, count, 2]).to_f32_vec().unwrap().iter().map(|x| scale * x).collect();
        let mask = mask(count);
        let expected = by_definition(&logits, &mask.to_f32_vec().unwrap());
        let logits = Var::constant(Tensor::from_f32(logits, &[1, 1, count, 2]).unwrap());
        let found = f64::from(focal_loss(&logits, &mask).unwrap().item().unwrap());
        assert!((found - expected).abs() < 2e-6 * expected, "{count} pixels: {found}, expected {expected}");
    }
}

#[test]
fn sure_and_wrong_stays_finite() {
    let logits = Var::leaf(Tensor::from_f32(vec![200.0, -200.0, 200.0, -200.0], &[1, 1, 2, 2]).unwrap());
    let loss = focal_loss(&logits, &Tensor::from_f32(vec![1.0, 0.0], &[1, 1, 2, 1]).unwrap()).unwrap();
    assert!((loss.item().unwrap() - -(2e-5f32.ln()) / 2.0).abs() < 0.02, "{loss:?}");
    assert!(loss.backward().unwrap().get(&logits).unwrap().to_f32_vec().unwrap().iter().all(|x| x.is_finite()));
}

#[test]
fn gradients() {
    assert_gradients(&[random("logits", &[1, 1, 9, 2])], 1e-2, 3e-4, |v| focal_loss(&v[0], &mask(9)));
}

#[test]
fn refusals_name_both_sides() {
    let error = focal_loss(&Tensor::zeros(&[1, 2, 2, 3]).into(), &Tensor::zeros(&[1, 2, 2, 1])).unwrap_err().to_string();
    assert!(error.contains("[1, 2, 2, 3] and [1, 2, 2, 1]"), "{error}");
    assert!(focal_loss(&Tensor::zeros(&[1, 2, 2, 2]).into(), &Tensor::zeros(&[1, 2, 2, 2])).is_err());
}

#[test]
fn gpus_agree() {
    for count in [1, 7, 9001] {
        let logits = random("logits", &[1, 1, count, 2]);
        // The sum rather than the mean: the gradient of a mean over many pixels is among f16's subnormal numbers.
        assert_devices_agree(&[logits], |v, device| affine(&focal_loss(&v[0], &mask(count).to_device(device)?)?, count as f32, 0.0));
    }
}
