use super::*;
use crate::anomaly::presets::{EncoderKind, PresetName};
use crate::anomaly::reweighting::Mode;
use crate::data::dataset::SplitRule;
use crate::device::Device;
use crate::evaluation::localization::Settings;
use crate::nn::Placement;
use crate::testing::miniature;

struct Silent;

impl Observer for Silent {
    fn finished(&mut self, _: &[crate::anomaly::generated_set::Finished], _: u64) {}

    fn does_not_fit(&mut self, error: &crate::error::Error, _: usize) {
        panic!("{error:#}");
    }
}

fn plan(variants: &[Variant]) -> Plan {
    let mut preset = Preset::new(PresetName::Default);
    (preset.training.steps, preset.training.batch_size, preset.generation.steps) = (6, 2, 4);
    Plan {
        variants: variants.to_vec(),
        preset,
        resolution: miniature::RESOLUTION,
        count: 2,
        masks: MaskSource::Real,
        batch_size: 2,
        seed: 5,
        experiment: experiment::Plan {
            sources: sources(),
            seeds: vec![0],
            localizer: Settings { width: 2, resolution: 32, steps: 6, batch: 2, learning_rate: 1e-3 },
            classifier: None,
            classifier_weights: None,
            split: SplitRule::Default,
            pairs_per_type: 10,
            keep_models: false,
            device: Device::Cpu,
        },
    }
}

#[test]
fn switches_do_what_their_names_say() {
    let preset = Preset::new(PresetName::Default);
    let [none, sae, ..] = VARIANTS;
    let switched = none.training(&preset);
    assert_eq!((switched.encoder, switched.spatial_tokens, switched.training.masked_loss), (EncoderKind::None, 0, false));
    switched.check().unwrap();
    assert_eq!(none.generation(&preset).reweighting.mode, Mode::Off);
    let switched = sae.training(&preset);
    assert_eq!((switched.encoder, switched.spatial_tokens, switched.training.masked_loss), (preset.encoder, 4, false));
    let all = VARIANTS[4];
    assert_eq!((all.training(&preset), all.generation(&preset)), (preset.clone(), preset.generation.clone()));
    let runs: std::collections::BTreeSet<String> = VARIANTS.iter().map(Variant::run).collect();
    assert_eq!(runs.len(), 4, "variants that differ in re-weighting alone share a run");
    assert_eq!(VARIANTS.iter().filter(|variant| variant.in_paper).count(), 5);
}

#[test]
fn variants_are_trained_generated_and_measured_once() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data, out) = (folder.path().join("model"), folder.path().join("data"), folder.path().join("out"));
    miniature::model(&model, 1);
    miniature::data_set(&data, 6);
    let (base, dataset) = (BaseModel::load(Some(&model), Placement::HOST).unwrap(), Dataset::scan(&data).unwrap());
    let plan = plan(&[VARIANTS[0], VARIANTS[6], VARIANTS[4]]);
    let mut started = 0;
    let run = |started: &mut usize| {
        let mut watch = |_: &Kind| -> Box<dyn Observer> {
            *started += 1;
            Box::new(Silent)
        };
        run(&base, &dataset, &plan, &out, &mut watch).unwrap()
    };
    let measured = run(&mut started);
    assert_eq!(started, 6, "three variants of two types");
    let runs: Vec<_> = std::fs::read_dir(out.join("trained")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(runs.len(), 2, "{runs:?}");
    let rows = table::rows(&measured);
    assert!(rows.iter().all(|row| row.inspection.summary(3).is_some() && row.quality.0[..4].iter().all(Option::is_some)), "{rows:?}");
    // Without the spatial embedding and without the masked loss, other pictures come out.
    let first = |variant: &str| std::fs::read(out.join("generated").join(variant).join("plate/test/dot/000000.png")).unwrap();
    assert_ne!(first("none"), first("all"));

    let text = table::text(&rows);
    assert!(text.starts_with("variant  SAE  ML   AAR  ") && text.contains("pixel AP") && text.contains("mask changed"), "{text}");
    let json = table::json(&measured);
    assert_eq!(table::text(&table::parse(&json).unwrap()), text);
    assert_eq!(json["details"]["all"].as_array().unwrap().len(), 3, "an object and its types");
    assert_eq!(table::csv(&rows).lines().count(), 4);
    assert!(table::parse(&serde_json::json!({"rows": [{}]})).is_none());
    let again = run(&mut started);
    assert_eq!(table::json(&again), json);
}
