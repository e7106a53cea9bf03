use super::*;
use crate::testing::{Fixture, assert_close, assert_training_agrees, random};

#[test]
fn logits_loss_and_gradient_match_pytorch() {
    let fixture = Fixture::load("inspection/localizer");
    let root = Path::root(&fixture);
    let model = Localizer::new(&root, &LocalizerConfig { width: 2 }).unwrap();
    let picture = Var::constant(fixture.get("picture"));
    assert_close(&model.forward(&picture, false).unwrap(), &fixture.get("eval"), 1e-5);

    let parameters = root.parameters();
    let named = |name: &str| parameters.iter().find(|parameter| parameter.name() == name).unwrap();
    parameters.set_trainable(true);
    let logits = model.forward(&picture, true).unwrap();
    assert_close(&logits, &fixture.get("train"), 2e-5);
    let loss = ops::focal_loss(&logits, &fixture.get("mask")).unwrap();
    assert_close(&loss, &fixture.get("loss"), 1e-5);
    let gradients = loss.backward().unwrap();
    for name in fixture.metadata("gradients").split(' ') {
        let parameter = named(name);
        let gradient = parameter.layout().to_checkpoint(gradients.by_id(parameter.id()).unwrap()).unwrap();
        assert_close(&gradient, &fixture.get(&format!("gradient.{name}")), 2e-4);
    }
    let running = fixture.metadata("running");
    assert_close(&named(running).value(), &fixture.get("running"), 2e-5);
}

#[test]
fn full_width_has_draems_count() {
    let root_source = FreshLocalizer { seed: 0 };
    let root = Path::root(&root_source);
    Localizer::new(&root, &LocalizerConfig { width: 8 }).unwrap();
    let count = |width: usize| -> usize {
        // Weights grow with the product of both channel counts, all else with one: exact from the narrow network's shapes.
        let scale = |size: usize| if size == 2 || size == 3 { size } else { size * width / 8 };
        let trained = root.parameters();
        let trained = trained.iter().filter(|parameter| !parameter.name().contains("running"));
        trained
            .map(|parameter| {
                let value = parameter.checkpoint_value().unwrap();
                value.shape().iter().enumerate().map(|(axis, &size)| if axis < 2 { scale(size) } else { size }).product::<usize>()
            })
            .sum()
    };
    let millions = count(64) as f64 / 1e6;
    assert!((28.365..28.375).contains(&millions), "{millions} M, METHOD says 28.37 M");
}

#[test]
fn initial_values_are_draems() {
    let source = FreshLocalizer { seed: 1 };
    let root = Path::root(&source);
    Localizer::new(&root, &LocalizerConfig { width: 8 }).unwrap();
    let value = |name: &str| root.parameters().iter().find(|parameter| parameter.name() == name).unwrap().value().to_f32_vec().unwrap();
    let deviation = |values: &[f32], mean: f32| (values.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt();
    assert!((deviation(&value("encoder_segment.block4.0.weight"), 0.0) - 0.02).abs() < 1e-3);
    let norm = value("encoder_segment.block4.1.weight");
    assert!((0.01..0.03).contains(&deviation(&norm, 1.0)), "{norm:?}");
    assert!(value("decoder_segment.up_b.2.bias").iter().chain(&value("decoder_segment.up_b.2.running_mean")).all(|&x| x == 0.0));
}

#[test]
fn wrong_sizes_are_refused() {
    let source = FreshLocalizer { seed: 1 };
    let model = Localizer::new(&Path::root(&source), &LocalizerConfig { width: 1 }).unwrap();
    let error = model.forward(&Tensor::zeros(&[1, 32, 48, 3]).into(), false).unwrap_err().to_string();
    assert!(error.contains("multiples of 32, found 48x32"), "{error}");
    assert!(Localizer::new(&Path::root(&source), &LocalizerConfig { width: 0 }).is_err());
}

#[test]
fn gpus_agree_on_its_training() {
    let picture = Var::constant(random("picture", &[2, 32, 64, 3]));
    let mask = Tensor::from_f32(
        (0..2 * 32 * 64).map(|pixel| f32::from(u8::from(pixel % 64 < 20 && pixel / 64 % 32 > 9))).collect::<Vec<_>>(),
        &[2, 32, 64, 1],
    );
    let mask = mask.unwrap();
    assert_training_agrees(
        &FreshLocalizer { seed: 3 },
        |path| Localizer::new(path, &LocalizerConfig { width: 3 }),
        |network, device| ops::focal_loss(&network.forward(&picture, true)?, &mask.to_device(device)?),
    );
}
