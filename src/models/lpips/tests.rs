use super::*;
use crate::testing::{Fixture, Scattered, devices, random};

#[test]
fn distances_are_those_of_the_package() {
    for network in [Network::Vgg, Network::Alex] {
        let fixture = Fixture::load("quality/lpips");
        let root = Path::root(&Scattered);
        let model = Lpips::new(&root, network).unwrap();
        // torchvision's convolutions of vgg16 and alexnet, and one weight a channel looked at.
        let expected = match network {
            Network::Vgg => 14_714_688 + 1472,
            Network::Alex => 2_469_696 + 1152,
        };
        assert_eq!(root.parameters().elements(), expected);
        let pictures: Vec<Appearance> = ["a", "b", "c"].map(|name| model.look(&fixture.get(name)).unwrap()).into();
        let expected = fixture.get(network.name()).to_f32_vec().unwrap();
        for ((first, second), expected) in [(0, 1), (0, 2), (1, 2)].into_iter().zip(expected) {
            let found = model.distance(&pictures[first], &pictures[second]).unwrap();
            assert!((found / f64::from(expected) - 1.0).abs() < 2e-5, "{}: {found} instead of {expected}", network.name());
            assert_eq!(model.distance(&pictures[second], &pictures[first]).unwrap(), found);
        }
        assert_eq!(model.distance(&pictures[0], &pictures[0]).unwrap(), 0.0);
    }
}

#[test]
fn pictures_of_two_sizes_are_not_compared() {
    let model = Lpips::new(&Path::root(&Scattered), Network::Alex).unwrap();
    let look = |side: usize| model.look(&random("picture", &[1, side, side, 3])).unwrap();
    assert!(model.distance(&look(64), &look(96)).is_err());
}

#[test]
fn gpus_agree_on_distances() {
    let distances = devices().into_iter().map(|device| {
        let root = Path::root(&Scattered);
        let model = Lpips::new(&root, Network::Alex).unwrap();
        root.parameters().place(Placement::f32(device)).unwrap();
        let [a, b] = ["a", "b"].map(|name| model.look(&random(name, &[1, 64, 64, 3])).unwrap());
        model.distance(&a, &b).unwrap()
    });
    let distances: Vec<f64> = distances.collect();
    assert!(distances.iter().all(|distance| (distance / distances[0] - 1.0).abs() < 1e-5), "{distances:?}");
}
