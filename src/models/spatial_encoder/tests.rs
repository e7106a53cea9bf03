use super::*;
use crate::models::resnet::{BlockKind, ResNetConfig};
use crate::nn::RandomInit;
use crate::testing::{Fixture, assert_close, assert_training_agrees, random};

fn resnet_fpn() -> SpatialEncoderConfig {
    let backbone = ResNetConfig { block: BlockKind::Bottleneck, width: 4, layers: [1, 2, 1, 1] };
    SpatialEncoderConfig::ResnetFpn(ResNetFpnConfig { mask_size: 64, tokens: 2, backbone, pyramid: 6, grid: 2, hidden: 5, output_scale: 0.01 })
}

fn psp() -> SpatialEncoderConfig {
    SpatialEncoderConfig::Psp(PspConfig { mask_size: 32, tokens: 2, stem: 4, units: [1, 2, 1, 1] })
}

/// Tokens with running and with batch statistics, a weight's gradient and the moved running mean, against PyTorch.
#[track_caller]
fn matches(fixture: &str, config: &SpatialEncoderConfig) {
    let fixture = Fixture::load(fixture);
    let root = Path::root(&fixture);
    let encoder = SpatialEncoder::new(&root, config, fixture.get("eval").dim(2)).unwrap();
    let mask = fixture.get("mask");
    assert_close(&encoder.forward(&mask, false).unwrap(), &fixture.get("eval"), 5e-6);

    let parameters = root.parameters();
    let named = |name: &str| parameters.iter().find(|parameter| parameter.name() == name).unwrap();
    parameters.set_trainable(true);
    let tokens = encoder.forward(&mask, true).unwrap();
    assert_close(&tokens, &fixture.get("train"), 2e-5);
    let gradients = ops::mean(&ops::mul(&tokens, &tokens).unwrap()).unwrap().backward().unwrap();
    let gradient = gradients.by_id(named(fixture.metadata("gradient")).id()).unwrap().permute(&[0, 3, 1, 2]).unwrap();
    assert_close(&gradient, &fixture.get("gradient"), 1e-4);
    assert_close(&named(fixture.metadata("running")).value(), &fixture.get("running"), 2e-5);
}

#[test]
fn resnet_fpn_matches_torchvision() {
    matches("spatial_encoder/resnet_fpn", &resnet_fpn());
}

#[test]
fn psp_matches_its_description() {
    matches("spatial_encoder/psp", &psp());
}

#[test]
fn released_sizes_have_the_released_count() {
    // Counted on the description without building 356 M numbers: a shape-only source.
    struct Shapes;
    impl crate::nn::ParameterSource for Shapes {
        fn fetch(&self, _: &str, shape: &[usize], _: crate::nn::Init) -> Result<Tensor> {
            COUNT.with(|count| count.set(count.get() + shape.iter().product::<usize>()));
            Ok(Tensor::zeros(&vec![1; shape.len()]))
        }
    }
    thread_local!(static COUNT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    PspEncoder::new(&Path::root(&Shapes), &PspConfig::released(4), 1280).unwrap();
    let millions = COUNT.with(std::cell::Cell::get) as f64 / 1e6;
    assert!((355.5..356.5).contains(&millions), "{millions} M, METHOD says 356 M");
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    let source = RandomInit { seed: 3 };
    for config in [resnet_fpn(), psp()] {
        let encoder = SpatialEncoder::new(&Path::root(&source), &config, 6).unwrap();
        let size = config.mask_size();
        let masks: Vec<f32> = (0..3 * size * size).map(|pixel| f32::from(u8::from(pixel % 7 < 3 && pixel % 11 > 5))).collect();
        let together = encoder.forward(&Tensor::from_f32(masks.clone(), &[3, size, size, 1]).unwrap(), false).unwrap().to_f32_vec().unwrap();
        let last = Tensor::from_f32(masks[2 * size * size..].to_vec(), &[1, size, size, 1]).unwrap();
        let alone = encoder.forward(&last, false).unwrap().to_f32_vec().unwrap();
        assert_eq!(together[2 * alone.len()..], alone[..]);
    }
}

#[test]
fn wrong_sizes_are_refused() {
    let source = RandomInit { seed: 3 };
    let encoder = SpatialEncoder::new(&Path::root(&source), &resnet_fpn(), 6).unwrap();
    let error = encoder.forward(&Tensor::zeros(&[1, 32, 64, 1]), false).unwrap_err().to_string();
    assert!(error.contains("64x64, found 32x64"), "{error}");
    let error = encoder.forward(&Tensor::zeros(&[1, 64, 64, 3]), false).unwrap_err().to_string();
    assert!(error.contains("one channel"), "{error}");
    let odd = SpatialEncoderConfig::Psp(PspConfig { mask_size: 48, ..PspConfig::released(4) });
    assert!(SpatialEncoder::new(&Path::root(&source), &odd, 8).is_err());
}

#[test]
fn gpus_agree_on_the_encoders_training() {
    let source = RandomInit { seed: 4 };
    for config in [resnet_fpn(), psp()] {
        let side = config.mask_size();
        let mask = (0..2 * side * side).map(|pixel| f32::from(u8::from(pixel % side < 20 && pixel / side % side > 9))).collect::<Vec<_>>();
        let mask = Tensor::from_f32(mask, &[2, side, side, 1]).unwrap();
        // With batch statistics, and with running ones as the default preset trains.
        for training in [true, false] {
            assert_training_agrees(
                &source,
                |path| SpatialEncoder::new(path, &config, 7),
                |encoder, device| {
                    let tokens = encoder.forward(&mask, training)?;
                    ops::mean(&ops::mul(&tokens, &Var::constant(random("weights", tokens.shape()).to_device(device)?))?)
                },
            );
        }
    }
}
