use std::fs;

use super::*;
use crate::anomaly::learned::Kind;
use crate::anomaly::presets::{Preset, PresetName};
use crate::anomaly::templates::Templates;
use crate::error::exit_code;
use crate::testing::miniature::{self, World};

fn learned(world: &World, steps: usize, change: impl Fn(&mut Preset)) -> Learned {
    let mut preset = Preset::new(PresetName::Default);
    preset.training.steps = steps;
    preset.training.batch_size = 2;
    change(&mut preset);
    let templates = Templates::built_in(preset.templates);
    let kinds = vec![Kind::new("plate", "dot"), Kind::new("plate", "line")];
    Learned::create(&world.base, preset, templates, kinds, miniature::RESOLUTION, 5).unwrap()
}

const OPTIONS: Options = Options { accumulate: 1, checkpoint_every: 2, validate_every: 3 };

#[test]
fn a_run_learns_and_leaves_its_file_and_pictures() {
    let world = World::new();
    let folder = world.folder.path().join("run");
    // A high rate on an untrained base: the loss on fixed noise must still fall.
    let learned = learned(&world, 60, |preset| preset.training.optimizer.learning_rate = 2e-2);
    let (_, summary) = train(&folder, &world.base, learned, &world.dataset, &Options { validate_every: 30, ..OPTIONS }).unwrap();
    assert_eq!(summary.steps, 60);
    let file = Learned::load(&folder.join(LEARNED), &world.base).unwrap();
    assert_eq!(file.metadata.steps, 60);
    for step in [30, 60] {
        assert!(folder.join(format!("validation/step-{step:06}.png")).is_file());
    }
    let log = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    let losses: Vec<f64> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|line| line.get("fixed_noise_loss").and_then(serde_json::Value::as_f64))
        .collect();
    assert_eq!(losses.len(), 2, "{log}");
    assert!(losses[1] < losses[0], "{losses:?}");
}

#[test]
fn a_run_in_two_parts_gives_the_bytes_of_one() {
    let world = World::new();
    let (whole, parts) = (world.folder.path().join("whole"), world.folder.path().join("parts"));
    train(&whole, &world.base, learned(&world, 6, |_| {}), &world.dataset, &OPTIONS).unwrap();
    // Stopped after step 4's checkpoint: what a kill during step 5 or 6 leaves.
    train(&parts, &world.base, learned(&world, 6, |_| {}), &world.dataset, &OPTIONS).unwrap();
    fs::rename(parts.join(crate::training::checkpoint::PREVIOUS), parts.join(crate::training::checkpoint::CURRENT)).unwrap();
    fs::remove_file(parts.join(LEARNED)).unwrap();
    let (_, summary) = train(&parts, &world.base, learned(&world, 6, |_| {}), &world.dataset, &OPTIONS).unwrap();
    assert_eq!(summary.steps_here, 2);
    for name in [LEARNED, "log.jsonl", "validation/step-000006.png"] {
        assert_eq!(fs::read(whole.join(name)).unwrap(), fs::read(parts.join(name)).unwrap(), "{name}");
    }
    // Validation is a look from outside: without it the same is learned.
    let blind = world.folder.path().join("blind");
    train(&blind, &world.base, learned(&world, 6, |_| {}), &world.dataset, &Options { validate_every: 0, ..OPTIONS }).unwrap();
    assert_eq!(fs::read(whole.join(LEARNED)).unwrap(), fs::read(blind.join(LEARNED)).unwrap());
}

#[test]
fn a_checkpoint_of_other_settings_is_refused() {
    let world = World::new();
    let folder = world.folder.path().join("run");
    train(&folder, &world.base, learned(&world, 2, |_| {}), &world.dataset, &OPTIONS).unwrap();
    let other = learned(&world, 2, |preset| preset.training.optimizer.learning_rate = 0.1);
    let error = train(&folder, &world.base, other, &world.dataset, &OPTIONS).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(format!("{error:#}").contains("learning_rate"), "{error:#}");
}

#[test]
fn an_empty_mask_is_named() {
    let world = World::new();
    let path = world.folder.path().join("data/plate/ground_truth/line/000_mask.png");
    crate::data::mask::Mask::empty(40, 36).save(&path).unwrap();
    let error = train(&world.folder.path().join("run"), &world.base, learned(&world, 2, |_| {}), &world.dataset, &OPTIONS).unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("000_mask.png"), "{error}");
}

/// A weight of the base model that is not a number is named, whichever network it is in; the learning rate is not blamed.
#[test]
fn a_damaged_base_model_is_named() {
    let world = World::new();
    let details = &world.base.details;
    for (network, part) in [("text encoder", &details.text_encoder), ("UNet", &details.unet), ("autoencoder", &details.vae)] {
        let weight = part.parameters.iter().find(|parameter| parameter.name().ends_with(".weight")).unwrap();
        let whole = weight.value();
        weight.update(|elements| elements.fill(f32::NAN)).unwrap();
        let folder = world.folder.path().join(network);
        let error = train(&folder, &world.base, learned(&world, 2, |_| {}), &world.dataset, &OPTIONS).unwrap_err();
        let message = format!("{error:#}");
        assert_eq!(exit_code(&error), 2, "{message}");
        for part in ["the loss of step 1", &format!("the {network}'s {} are not finite", weight.name()), "base model is damaged", "--model"] {
            assert!(message.contains(part), "{part:?} in {message}");
        }
        assert!(!message.contains("learning rate") && !folder.join(LEARNED).exists(), "{message}");
        weight.set(whole).unwrap();
    }
    assert_eq!(world.base.damaged_weight().unwrap(), None);
}
