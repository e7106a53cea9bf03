use super::*;
use crate::anomaly::learned::Kind;
use crate::anomaly::presets::{Preset, PresetName};
use crate::anomaly::templates::Templates;
use crate::data::dataset::Dataset;
use crate::nn::Placement;
use crate::testing::{miniature, relative_error};

fn setup(name: PresetName) -> (BaseModel, Learned, Examples) {
    let folder = tempfile::tempdir().unwrap();
    miniature::model(&folder.path().join("model"), 1);
    miniature::data_set(&folder.path().join("data"), 6);
    let base = BaseModel::load(Some(&folder.path().join("model")), Placement::HOST).unwrap();
    let preset = Preset::new(name);
    let templates = Templates::built_in(preset.templates);
    let kinds = vec![Kind::new("plate", "dot"), Kind::new("plate", "line")];
    let learned = Learned::create(&base, preset, templates, kinds, miniature::RESOLUTION, 5).unwrap();
    let examples = Examples::load(&Dataset::scan(&folder.path().join("data")).unwrap(), &learned.metadata).unwrap();
    (base, learned, examples)
}

#[test]
fn training_pairs_are_the_first_third_and_types_take_turns() {
    let (_, _, examples) = setup(PresetName::Default);
    assert_eq!(examples.count(), 4);
    let batch = examples.draw("train", 3, 0, 6);
    for turn in batch.chunks(2) {
        assert_ne!(turn[0].kind, turn[1].kind);
    }
    let again = examples.draw("train", 3, 4, 2);
    assert_eq!(again[0].sample, batch[4].sample);
    assert_eq!((again[1].kind, again[1].template), (batch[5].kind, batch[5].template));
    assert!(batch.iter().all(|example| !example.sample.mask.is_empty()));
    assert_eq!(setup(PresetName::Official).2.count(), 6, "the released program's split has index <= n/3");
}

#[test]
fn gradients_reach_the_present_types_and_the_encoder() {
    for name in [PresetName::Default, PresetName::Paper, PresetName::Official] {
        let (base, learned, examples) = setup(name);
        let inversion = Inversion::new(&base, &learned).unwrap();
        inversion.measure_batch_norm(&examples).unwrap();
        let batch: Vec<Example> = examples.draw("train", 0, 0, 4).into_iter().filter(|example| example.kind == 1).collect();
        let loss = inversion.loss("train", 0, 0, &batch).unwrap();
        assert!(loss.item().unwrap() > 0.0);
        let gradients = loss.backward().unwrap();
        for parameter in learned.parameters().iter().filter(|parameter| parameter.is_trainable()) {
            let absent = ["anomaly.plate+dot", "look.plate+dot"].contains(&parameter.name());
            assert_eq!(gradients.by_id(parameter.id()).is_none(), absent, "{name:?}: {}", parameter.name());
        }
    }
}

#[test]
fn a_pair_moves_its_own_look() {
    let (base, learned, examples) = setup(PresetName::Default);
    let inversion = Inversion::new(&base, &learned).unwrap();
    inversion.measure_batch_norm(&examples).unwrap();
    let drawn = |step: u64| examples.draw("train", step, 0, 2).into_iter().find(|example| example.kind == 0).unwrap();
    let pairs: Vec<usize> = (0..20).map(|step| drawn(step).pair).collect();
    assert!(pairs.contains(&0) && pairs.contains(&1) && pairs.iter().all(|&pair| pair < 2), "{pairs:?}");
    let looks = learned.parameters().iter().find(|parameter| parameter.name() == "look.plate+dot").unwrap();
    for step in 0..4 {
        let example = drawn(step);
        let gradients = inversion.loss("train", step, 0, std::slice::from_ref(&example)).unwrap().backward().unwrap();
        let gradient = gradients.by_id(looks.id()).unwrap().to_f32_vec().unwrap();
        let moved: Vec<bool> = gradient.chunks(gradient.len() / 16).map(|look| look.iter().any(|&x| x != 0.0)).collect();
        assert_eq!(moved, (0..16).map(|look| look == example.pair).collect::<Vec<_>>());
    }
}

#[test]
fn the_gradient_is_the_losss() {
    let (base, learned, examples) = setup(PresetName::Default);
    let inversion = Inversion::new(&base, &learned).unwrap();
    inversion.measure_batch_norm(&examples).unwrap();
    let batch = examples.draw("train", 1, 0, 2);
    let value = || f64::from(inversion.loss("train", 1, 0, &batch).unwrap().item().unwrap());
    let gradients = inversion.loss("train", 1, 0, &batch).unwrap().backward().unwrap();
    for parameter in [learned.anomaly(0).clone(), learned.parameters().iter().find(|p| p.name() == "spatial.heads.1.2.weight").unwrap().clone()] {
        let gradient = gradients.by_id(parameter.id()).unwrap().to_f32_vec().unwrap();
        // Along the gradient itself, where the difference stands out from rounding.
        let norm: f64 = gradient.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let step = 1e-2 / norm;
        let start = parameter.value();
        let moved = |sign: f64| {
            parameter.set(start.clone()).unwrap();
            parameter.update(|values| values.iter_mut().zip(&gradient).for_each(|(x, g)| *x += (sign * step * f64::from(*g)) as f32)).unwrap();
            value()
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        parameter.set(start).unwrap();
        assert!((slope / norm.powi(2) - 1.0).abs() < 0.03, "{}: slope {slope:.4e}, gradient's square {:.4e}", parameter.name(), norm.powi(2));
    }
}

#[test]
fn an_example_does_not_depend_on_its_batch() {
    let (base, learned, examples) = setup(PresetName::Default);
    let inversion = Inversion::new(&base, &learned).unwrap();
    inversion.measure_batch_norm(&examples).unwrap();
    let batch = examples.draw("train", 2, 0, 4);
    let gradient = |first: u64, examples: &[Example]| {
        let gradients = inversion.loss("train", 2, first, examples).unwrap().backward().unwrap();
        gradients.by_id(learned.anomaly(0).id()).map(|gradient| gradient.to_f32_vec().unwrap())
    };
    // The mean over two halves is the whole's: the same noise, time steps and latents.
    let whole = gradient(0, &batch).unwrap();
    let (first, second) = (gradient(0, &batch[..2]).unwrap(), gradient(2, &batch[2..]).unwrap());
    let halves: Vec<f32> = first.iter().zip(&second).map(|(a, b)| 0.5 * (a + b)).collect();
    assert!(relative_error(&halves, &whole) < 1e-5);
}

#[test]
fn measured_statistics_are_fixed() {
    let (base, learned, examples) = setup(PresetName::Default);
    let inversion = Inversion::new(&base, &learned).unwrap();
    inversion.measure_batch_norm(&examples).unwrap();
    let statistics = || -> Vec<Vec<f32>> {
        learned.parameters().iter().filter(|parameter| !parameter.is_trainable()).map(|parameter| parameter.value().to_f32_vec().unwrap()).collect()
    };
    let before = statistics();
    assert!(before.iter().flatten().any(|&value| value != 0.0 && value != 1.0));
    inversion.loss("train", 0, 0, &examples.draw("train", 0, 0, 2)).unwrap();
    assert_eq!(statistics(), before);
}
