use super::*;
use crate::nn::RandomInit;
use crate::tensor::Tensor;
use crate::testing::{Fixture, assert_close, assert_training_agrees, random};

#[test]
fn basic_blocks_match_torchvision() {
    let fixture = Fixture::load("spatial_encoder/basic");
    let config = ResNetConfig { block: BlockKind::Basic, width: 4, layers: [2, 1, 2, 1] };
    let model = ResNet::new(&Path::root(&fixture), &config).unwrap();
    let features = model.features(&Var::constant(fixture.get("image")), false).unwrap();
    assert_eq!(features.len(), 4);
    for (stage, feature) in features.iter().enumerate() {
        assert_close(feature, &fixture.get(&format!("feature{stage}")), 2e-6);
    }
}

#[test]
fn resnet50_has_torchvisions_parameters() {
    let source = RandomInit { seed: 0 };
    let root = Path::root(&source);
    ResNet::new(&root, &ResNetConfig::resnet50()).unwrap();
    let parameters = root.parameters();
    // torchvision's resnet50: 25,557,032 with its classifier of 2048 x 1000 + 1000; the running statistics are 53,120 more.
    assert_eq!(parameters.elements(), 25_557_032 - 2_049_000 + 53_120);
    let names: Vec<_> = parameters.iter().map(|parameter| parameter.name().to_owned()).collect();
    for name in ["conv1.weight", "bn1.running_var", "layer1.0.conv3.weight", "layer1.0.downsample.0.weight", "layer4.2.bn3.bias"] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
}

#[test]
fn the_classifier_matches_torchvision() {
    let fixture = Fixture::load("inspection/classifier");
    let root = Path::root(&fixture);
    let config = ResNetConfig { block: BlockKind::Basic, width: 2, layers: [2, 1, 1, 1] };
    let model = ResNetClassifier::new(&root, &config, 5).unwrap();
    let picture = Var::constant(fixture.get("picture"));
    assert_close(&model.forward(&picture, false).unwrap(), &fixture.get("eval"), 5e-6);

    let parameters = root.parameters();
    parameters.set_trainable(true);
    let logits = model.forward(&picture, true).unwrap();
    assert_close(&logits, &fixture.get("train"), 2e-5);
    let labels: Vec<i32> = fixture.metadata("labels").split(' ').map(|label| label.parse().unwrap()).collect();
    let count = labels.len();
    let loss = ops::softmax_cross_entropy(&logits, &Tensor::from_i32(labels, &[count]).unwrap()).unwrap();
    assert_close(&loss, &fixture.get("loss"), 1e-5);
    let gradients = loss.backward().unwrap();
    for name in fixture.metadata("gradients").split(' ') {
        let parameter = parameters.iter().find(|parameter| parameter.name() == name).unwrap();
        let gradient = parameter.layout().to_checkpoint(gradients.by_id(parameter.id()).unwrap()).unwrap();
        assert_close(&gradient, &fixture.get(&format!("gradient.{name}")), 2e-4);
    }
}

#[test]
fn resnet34_has_torchvisions_parameters_and_scale() {
    let source = FreshResNet { seed: 0 };
    let root = Path::root(&source);
    ResNetClassifier::new(&root, &ResNetConfig::resnet34(), 7).unwrap();
    let parameters = root.parameters();
    // torchvision's resnet34: 21,797,672 with a classifier of 512 x 1000 + 1000; the running statistics are 17,024 more.
    assert_eq!(parameters.elements(), 21_797_672 - 513_000 + 513 * 7 + 17_024);
    let weight = parameters.iter().find(|parameter| parameter.name() == "layer4.0.conv2.weight").unwrap().value().to_f32_vec().unwrap();
    let variance = weight.iter().map(|x| x * x).sum::<f32>() / weight.len() as f32;
    assert!((variance * (512.0 * 9.0 / 2.0) - 1.0).abs() < 0.01, "{variance}");
}

#[test]
fn gpus_agree_on_the_classifiers_training() {
    let picture = Var::constant(random("picture", &[3, 40, 36, 3]));
    let labels = Tensor::from_i32(vec![4, 0, 2], &[3]).unwrap();
    let config = ResNetConfig { width: 4, layers: [1, 2, 1, 1], ..ResNetConfig::resnet34() };
    assert_training_agrees(
        &FreshResNet { seed: 3 },
        |path| ResNetClassifier::new(path, &config, 5),
        |network, _| ops::softmax_cross_entropy(&network.forward(&picture, true)?, &labels),
    );
}
