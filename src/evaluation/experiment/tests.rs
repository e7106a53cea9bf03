use std::fs;

use super::table::{csv, json, parse, rows, text};
use super::*;
use crate::error::exit_code;
use crate::evaluation::scores::{METRICS, Scores};
use crate::testing::miniature;

fn plan(sources: &[Source]) -> Plan {
    Plan {
        sources: sources.to_vec(),
        seeds: vec![3],
        localizer: Settings { width: 4, resolution: 32, steps: 60, batch: 4, learning_rate: 3e-3 },
        classifier: Some(classification::Settings { width: 4, steps: 20, batch: 4, learning_rate: 3e-3 }),
        classifier_weights: None,
        split: SplitRule::Default,
        pairs_per_type: 500,
        keep_models: true,
        device: Device::Cpu,
    }
}

#[test]
fn networks_learn_to_find_and_a_finished_training_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    miniature::data_set(&data, 9);
    // Normal pictures to test on: the training ones, which a test of the plumbing may take.
    fs::create_dir_all(data.join("plate/test/good")).unwrap();
    for name in ["000.png", "001.png"] {
        fs::copy(data.join("plate/train/good").join(name), data.join("plate/test/good").join(name)).unwrap();
    }
    let dataset = Dataset::scan(&data).unwrap();
    let plan = plan(&[Source::Real, Source::CutPaste]);
    let outcomes = run(&dataset, None, &plan, &out).unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.source.as_str()).collect::<Vec<_>>(), ["real", "cut-paste"]);
    let [_, _, _, pixel_auroc, ..] = outcomes[0].scores.all.0;
    assert!(pixel_auroc.unwrap() > 0.8, "bright lines and dark dots are easy: {:?}", outcomes[0].scores);
    assert!(outcomes[0].scores.all.0[8].is_some() && outcomes[1].scores.all.0[8].is_none(), "only real pairs have types");
    let unit = out.join("real/seed-3/plate");
    assert!(unit.join("localizer.safetensors").is_file() && !unit.join("localizer/checkpoint.safetensors").exists());

    let evidence = evidence::Evidence::read(&unit).unwrap().unwrap();
    assert_eq!(evidence.pixel.roc.last(), Some(&[1.0, 1.0]));
    assert_eq!(
        evidence.samples.iter().map(|one| one.stem.as_str()).collect::<Vec<_>>(),
        ["best-0", "best-1", "best-2", "worst-0", "worst-1", "worst-2"]
    );
    assert!(evidence.samples.windows(2).all(|pair| pair[0].average_precision >= pair[1].average_precision));
    let [picture, mask, scores] = evidence::Evidence::pictures(&unit, &evidence.samples[0]).unwrap();
    assert_eq!([picture.width(), mask.width(), scores.width()], [32; 3]);

    let before = fs::metadata(unit.join("localizer/log.jsonl")).unwrap().modified().unwrap();
    let again = run(&dataset, None, &plan, &out).unwrap();
    assert_eq!(again[0].scores, outcomes[0].scores);
    assert_eq!(fs::metadata(unit.join("localizer/log.jsonl")).unwrap().modified().unwrap(), before);
    let other = Plan { localizer: Settings { steps: 61, ..plan.localizer }, ..plan.clone() };
    let error = run(&dataset, None, &other, &out).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(format!("{error:#}").contains("localizer.steps"), "{error:#}");

    // Measured again from the start: the same numbers.
    fs::remove_dir_all(out.join("real")).unwrap();
    assert_eq!(run(&dataset, None, &plan, &out).unwrap()[0].scores, outcomes[0].scores);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    miniature::data_set(folder.path(), 3);
    let dataset = Dataset::scan(folder.path()).unwrap();
    let refused = |plan: Plan, part: &str| {
        let error = run(&dataset, None, &plan, &folder.path().join("out")).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(format!("{error:#}").contains(part), "{error:#}");
    };
    refused(plan(&[Source::Generated]), "--generated");
    let real = plan(&[Source::Real]);
    refused(Plan { localizer: Settings { resolution: 48, ..real.localizer }, ..real.clone() }, "multiple of 32");
    refused(Plan { localizer: Settings { learning_rate: f64::NAN, ..real.localizer }, ..real.clone() }, "--learning-rate");
    refused(Plan { localizer: Settings { width: 0, ..real.localizer }, ..real.clone() }, "width 0");
    refused(Plan { seeds: Vec::new(), ..real }, "one seed");
}

fn outcome(source: &str, object: &str, seed: u64, value: f64) -> Outcome {
    let mut scores = Scores::default();
    scores.0[3] = Some(value);
    let identity = Identity { task: String::new(), base_model: String::new(), seed, config: serde_json::Value::Null };
    let scores = ObjectScores { all: scores, types: vec![("a,b".into(), scores)] };
    Outcome { identity, source: source.into(), object: object.into(), seed, scores }
}

#[test]
fn rows_average_over_objects_then_over_seeds() {
    let outcomes = [outcome("real", "x", 0, 0.5), outcome("real", "x", 1, 0.7), outcome("real", "y", 0, 0.9), outcome("real", "y", 1, 0.9)];
    let rows = rows(&outcomes);
    assert_eq!(rows.len(), 5, "two objects, their types, the mean");
    let mean = rows[4].summary(3).unwrap();
    assert!((mean.mean - 0.75).abs() < 1e-12 && (mean.spread.unwrap() - 0.1 / 2.0_f64.sqrt()).abs() < 1e-12, "{mean:?}");
    assert_eq!(rows[4].summary(0), None);
    let table = text(&rows, false);
    assert_eq!(
        table.lines().collect::<Vec<_>>(),
        ["source  object  pixel AUROC", "real    x         60.0±14.1", "real    y          90.0±0.0", "real    mean       75.0±7.1",]
    );
    assert!(text(&rows, true).contains("a,b"));
    let csv = csv(&rows);
    assert_eq!(csv.lines().next().unwrap().split(',').count(), 4 + 2 * METRICS.len());
    assert!(csv.lines().nth(2).unwrap().starts_with("real,x,\"a,b\",2,,,"), "{csv}");
    let json = json(&rows);
    assert_eq!(text(&parse(&json).unwrap(), true), text(&rows, true));
    assert!(parse(&serde_json::json!({"rows": [{"source": "real"}]})).is_none());
    assert_eq!(json["rows"][4]["object"], serde_json::Value::Null);
    assert_eq!(json["rows"][0]["metrics"]["pixel_auroc"]["values"][1], 0.7);
    assert_eq!(json["protocols"]["pixel_region_overlap"], "pro/8-connected/fpr-0.3/v1");
}
