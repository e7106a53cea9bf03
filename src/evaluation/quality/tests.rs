use std::fs;

use super::*;
use crate::anomaly::generated_set::{Entry, NAME};
use crate::data::dataset::SplitRule;
use crate::device::Device;
use crate::models::inception::Inception;
use crate::models::lpips::{Lpips, Network};
use crate::nn::Path as Names;
use crate::testing::{Scattered, miniature};
use crate::weights;

fn plan(judges: Judges) -> Plan {
    Plan { judges, side: 64, split: SplitRule::Default }
}

/// A data set, and pairs that stand for generated ones: those of the same data set, `dot` with a manifest.
fn world(folder: &Path) -> (Dataset, Dataset) {
    let (data, pairs) = (folder.join("data"), folder.join("pairs"));
    miniature::data_set(&data, 6);
    miniature::data_set(&pairs, 3);
    let found = Dataset::scan(&pairs).unwrap();
    let lines: String = found.objects[0].types[0]
        .pairs
        .iter()
        .enumerate()
        .map(|(index, pair)| {
            let relative = |path: &Path| path.strip_prefix(&pairs).unwrap().to_str().unwrap().to_owned();
            let entry = Entry {
                image: relative(&pair.image),
                mask: relative(&pair.mask),
                normal: "plate/train/good/000.png".into(),
                object: "plate".into(),
                defect: "dot".into(),
                index: index as u64,
                seed: 0,
                template: "a photo of a {}".into(),
                mask_source: "real".into(),
                steps: 1,
                eta: 0.0,
                guidance: 1.0,
                coarse_noise: 1.0,
                close_up: 1.0,
                reweight: "off".into(),
                recipe: "r".into(),
            };
            serde_json::to_string(&entry).unwrap() + "\n"
        })
        .collect();
    fs::write(pairs.join(NAME), lines).unwrap();
    (Dataset::scan(&data).unwrap(), found)
}

#[test]
fn without_networks_alignment_is_measured_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (data, pairs) = world(folder.path());
    let out = folder.path().join("out");
    let outcomes = measure(&data, &pairs, &plan(Judges::default()), &out).unwrap();
    let [dot, line] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((dot.pairs, dot.aligned, line.aligned), (3, 3, 0));
    let entry = Origins::read(&pairs.root).unwrap().of(&pairs.root, &pairs.objects[0].types[0].pairs[0].image).unwrap().clone();
    let first = Pair::load(&pairs.root, &data.root, &entry).unwrap().alignment().unwrap().unwrap();
    assert!(first.change_inside > 0.0 && dot.numbers.0[0].is_some());
    assert!(dot.numbers.0[4..].iter().chain(&line.numbers.0).all(Option::is_none));
    // What is there is not measured again, and belongs to these files.
    let again = measure(&data, &pairs, &plan(Judges::default()), &out).unwrap();
    assert_eq!(again[0].numbers, dot.numbers);
    fs::copy(&pairs.objects[0].types[0].pairs[0].image, &pairs.objects[0].types[0].pairs[1].image).unwrap();
    assert!(format!("{:#}", measure(&data, &pairs, &plan(Judges::default()), &out).unwrap_err()).contains("config.generated"));
}

#[test]
fn networks_from_files_judge_every_type() {
    let folder = tempfile::tempdir().unwrap();
    let (data, pairs) = world(folder.path());
    let save = |name: &str, make: &dyn Fn(&Names)| {
        let root = Names::root(&Scattered);
        make(&root);
        let path = folder.path().join(name);
        weights::save(&path, &root.parameters().tensors().unwrap(), &std::collections::BTreeMap::new()).unwrap();
        path
    };
    let inception = save("inception.safetensors", &|root| drop(Inception::new(root).unwrap()));
    let lpips = save("lpips.safetensors", &|root| drop(Lpips::new(root, Network::Alex).unwrap()));
    let judges = Judges::load(Some(&inception), Some((&lpips, Network::Alex)), Device::Cpu).unwrap();
    let plan = plan(judges);
    let outcomes = measure(&data, &pairs, &plan, &folder.path().join("out")).unwrap();
    for outcome in &outcomes {
        let [score, diversity, distance] = outcome.numbers.0[4..] else { panic!() };
        assert!(score.unwrap() >= 1.0 && diversity.unwrap() > 0.0 && distance.unwrap().is_finite(), "{outcome:?}");
    }
    let json = table::json(&table::rows(&outcomes), &plan);
    assert_eq!(json["judges"]["inception"].as_str().unwrap().len(), 64);
    assert!(json["protocols"]["ic_lpips"].as_str().unwrap().starts_with("ic-lpips/alex-0.1"), "{json}");
    let error = Judges::load(Some(&lpips), None, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("Conv2d_1a_3x3.conv.weight"), "{error}");
    assert!(Judges::load(None, Some((&lpips, Network::Vgg)), Device::Cpu).is_err());
}

#[test]
fn a_manifest_cannot_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (data, pairs) = world(folder.path());
    let path = pairs.root.join(NAME);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("plate/train/good/000.png", "../data/plate/train/good/000.png")).unwrap();
    let error = measure(&data, &pairs, &plan(Judges::default()), &folder.path().join("out")).unwrap_err();
    assert_eq!(crate::error::exit_code(&error), 2);
    assert!(error.to_string().contains("inside the folder"), "{error}");
}

#[test]
fn rows_are_averaged_over_types_and_objects() {
    let outcome = |object: &str, defect: &str, pairs: usize, value: Option<f64>| Outcome {
        identity: Identity { task: String::new(), base_model: String::new(), seed: 0, config: serde_json::Value::Null },
        object: object.into(),
        defect: defect.into(),
        pairs,
        aligned: 0,
        numbers: Numbers([value, None, None, Some(40.0), None, Some(0.25), None]),
    };
    let rows = table::rows(&[outcome("a", "x", 2, Some(0.5)), outcome("a", "y", 3, None), outcome("b", "x", 5, Some(1.0))]);
    let found: Vec<_> = rows.iter().map(|row| (row.object.as_deref(), row.defect.as_deref(), row.pairs, row.numbers.0[0])).collect();
    #[rustfmt::skip]
    assert_eq!(found, [
        (Some("a"), Some("x"), 2, Some(0.5)), (Some("a"), Some("y"), 3, None), (Some("a"), None, 5, Some(0.5)), (Some("b"), Some("x"), 5, Some(1.0)),
        (None, None, 10, Some(0.75)),
    ]);
    let text = table::text(&rows);
    assert!(text.starts_with("object  type  pairs  change inside  background dB  IC-LPIPS\n"), "{text}");
    assert!(text.ends_with("mean    mean     10         75.0 %           40.0     0.250"), "{text}");
    assert_eq!(table::parse(&table::json(&rows, &plan(Judges::default()))).unwrap(), rows);
    assert_eq!(table::parse(&serde_json::json!({"rows": [1]})), None);
    assert!(table::csv(&rows).contains("\na,y,3,,,,40,,0.25,\n"), "{}", table::csv(&rows));
}
