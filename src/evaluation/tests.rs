use serde_json::Value;

use super::accuracy::accuracy;
use super::auroc::auroc;
use super::average_precision::average_precision;
use super::f1_max::{f1_max, f1_max_of_21};
use super::ranking::Ranking;
use super::region_overlap::{Map, region_overlap};
use crate::data::mask::Mask;
use crate::tensor::random::Sampler;

/// tests/fixtures/scripts/metrics.py.
fn fixture() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/metrics.json")).unwrap()
}

fn scores(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|score| score.as_f64().unwrap() as f32).collect()
}

fn labels(value: &Value) -> Vec<bool> {
    value.as_str().unwrap().bytes().map(|byte| byte == b'1').collect()
}

#[track_caller]
fn assert_value(found: Option<f64>, expected: &Value, what: &str) {
    let (found, expected) = (found.unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() <= 1e-9, "{what}: {found}, expected {expected}");
}

#[test]
fn rankings_equal_scikit_learn() {
    for case in fixture()["rankings"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let ranking = Ranking::new(&scores(&case["scores"]), &labels(&case["labels"])).unwrap();
        assert_value(auroc(&ranking), &case["auroc"], name);
        assert_value(average_precision(&ranking), &case["average_precision"], name);
        assert_value(f1_max(&ranking), &case["f1_max"], name);
        assert_value(f1_max_of_21(&ranking), &case["f1_max_of_21"], name);
    }
}

#[test]
fn region_overlap_equals_a_count_over_all_thresholds() {
    for case in fixture()["region_overlaps"].as_array().unwrap() {
        let width = case["width"].as_u64().unwrap() as usize;
        let maps: Vec<(Vec<f32>, Mask)> = case["maps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|map| {
                let pixels = labels(&map["mask"]);
                (scores(&map["scores"]), Mask::from_parts(width, pixels.len() / width, pixels))
            })
            .collect();
        let maps: Vec<Map> = maps.iter().map(|(scores, mask)| Map { scores, mask }).collect();
        assert_value(region_overlap(&maps).unwrap(), &case["expected"], case["name"].as_str().unwrap());
    }
}

#[test]
fn empty_and_single_class_cases_have_no_value() {
    let ranking = |labels: &[bool]| Ranking::new(&vec![0.5; labels.len()], labels).unwrap();
    let all = |labels: &[bool]| {
        let ranking = ranking(labels);
        [auroc(&ranking), average_precision(&ranking), f1_max(&ranking), f1_max_of_21(&ranking)]
    };
    assert_eq!(all(&[]), [None; 4]);
    assert_eq!(all(&[false, false]), [None; 4]);
    let [auroc, precision, f1, coarse] = all(&[true, true]);
    assert_eq!((auroc, precision, f1), (None, Some(1.0), Some(1.0)));
    assert!((coarse.unwrap() - 1.0).abs() < 1e-7);

    let (clean, full) = (Mask::empty(2, 2), Mask::empty(2, 2).inverted());
    let overlap = |mask: &Mask| region_overlap(&[Map { scores: &[0.5; 4], mask }]);
    assert_eq!(overlap(&clean).unwrap(), None);
    assert_eq!(overlap(&full).unwrap(), None);
    assert_eq!(region_overlap(&[]).unwrap(), None);
    assert!(region_overlap(&[Map { scores: &[0.5; 3], mask: &clean }]).is_err());
    assert!(region_overlap(&[Map { scores: &[0.5, 0.5, 0.5, f32::NAN], mask: &clean }]).is_err());

    assert_eq!(accuracy(&[], &[]).unwrap(), None);
    assert_eq!(accuracy(&[0, 1, 2, 2], &[0, 1, 1, 2]).unwrap(), Some(0.75));
    assert!(accuracy(&[0], &[]).is_err());
}

#[test]
fn a_perfect_and_a_constant_map() {
    let mask = Mask::from_fn(10, 10, |column, row| column < 3 && row < 3);
    let perfect: Vec<f32> = mask.pixels().iter().map(|&inside| f32::from(u8::from(inside))).collect();
    assert!((region_overlap(&[Map { scores: &perfect, mask: &mask }]).unwrap().unwrap() - 1.0).abs() < 1e-12);
    let constant = region_overlap(&[Map { scores: &[0.3; 100], mask: &mask }]).unwrap().unwrap();
    assert!((constant - 0.15).abs() < 1e-12, "chance: {constant}");
}

/// The order of pictures changes nothing, and millions of pixels are quick (about 0.1 s on one core).
#[test]
fn pixels_of_many_pictures() {
    let mut sampler = Sampler::new(0, "pixels", &[]);
    let pictures: Vec<(Vec<f32>, Mask)> = (0..4)
        .map(|_| {
            let mask = Mask::from_fn(256, 256, |column, row| (column / 40) % 3 == 1 && (row / 30) % 4 == 2);
            (mask.pixels().iter().map(|&inside| 0.2 * sampler.uniform() * f32::from(u8::from(inside)) + sampler.uniform()).collect(), mask)
        })
        .collect();
    let maps: Vec<Map> = pictures.iter().map(|(scores, mask)| Map { scores, mask }).collect();
    let reversed: Vec<Map> = maps.iter().rev().copied().collect();
    assert_eq!(region_overlap(&maps).unwrap(), region_overlap(&reversed).unwrap());
    let all = |maps: &[Map]| {
        let scores: Vec<f32> = maps.iter().flat_map(|map| map.scores).copied().collect();
        let labels: Vec<bool> = maps.iter().flat_map(|map| map.mask.pixels()).copied().collect();
        auroc(&Ranking::new(&scores, &labels).unwrap()).unwrap()
    };
    assert_eq!(all(&maps), all(&reversed));
    // P(u + 0.2 v > w) = 0.5 + E[s - s²/2] for s = 0.2 v.
    assert!((all(&maps) - (0.5 + 0.1 - 0.04 / 6.0)).abs() < 0.005, "{}", all(&maps));
}
