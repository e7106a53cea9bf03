use super::*;
use crate::nn::RandomInit;
use crate::testing::{Fixture, assert_close};

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
