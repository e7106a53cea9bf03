use super::*;
use crate::testing::{Fixture, Scattered, assert_close, devices, random};

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

#[test]
fn gpus_agree_on_its_answers() {
    let picture = random("picture", &[1, 75, 75, 3]);
    let answers = devices().into_iter().map(|device| {
        let root = Path::root(&Scattered);
        let model = Inception::new(&root).unwrap();
        root.parameters().place(Placement::f32(device)).unwrap();
        model.forward(&picture).unwrap()
    });
    let answers: Vec<Answer> = answers.collect();
    for answer in &answers {
        assert_close(&answer.features, &answers[0].features, 1e-5);
        assert_close(&answer.logits, &answers[0].logits, 1e-5);
    }
}
