use super::*;
use crate::testing::{Fixture, Scattered, assert_close};

#[test]
fn features_and_logits_are_those_of_torchvision() {
    let fixture = Fixture::load("quality/inception");
    let root = Path::root(&Scattered);
    let model = Inception::new(&root).unwrap();
    // torchvision's inception_v3 without its auxiliary classifier: 23,834,568 trained numbers; the running statistics are 34,432 more.
    assert_eq!(root.parameters().elements(), 23_834_568 + 34_432);
    let answer = model.forward(&fixture.get("picture")).unwrap();
    assert_close(&answer.features, &fixture.get("features"), 1e-5);
    assert_close(&answer.logits, &fixture.get("logits"), 1e-5);
}
