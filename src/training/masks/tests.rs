use std::fs;

use super::*;
use crate::anomaly::learned::Kind;
use crate::anomaly::presets::{MaskPreset, PresetName};
use crate::testing::miniature::{self, World};

fn masks(world: &World, steps: usize, rate: f64) -> LearnedMasks {
    let mut preset = MaskPreset::new(PresetName::Default, 2);
    (preset.steps, preset.batch_size, preset.sampling.steps) = (steps, 2, 4);
    preset.optimizer.learning_rate = rate;
    let kinds = vec![Kind::new("plate", "dot"), Kind::new("plate", "line")];
    LearnedMasks::create(&world.base, preset, kinds, miniature::RESOLUTION, 5).unwrap()
}

const OPTIONS: Options = Options { accumulate: 1, checkpoint_every: 2, validate_every: 3 };

#[test]
fn a_run_lowers_the_loss_and_leaves_its_file() {
    let world = World::new();
    let folder = world.folder.path().join("run");
    let options = Options { validate_every: 30, ..OPTIONS };
    let (_, summary) = train(&folder, &world.base, masks(&world, 60, 2e-2), &world.dataset, &options).unwrap();
    assert_eq!(summary.steps, 60);
    assert_eq!(LearnedMasks::load(&folder.join(LEARNED_MASKS), &world.base).unwrap().metadata.steps, 60);
    assert!(folder.join("validation/step-000060.png").is_file());
    let log = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    let losses: Vec<f64> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|line| line.get("fixed_noise_loss").and_then(serde_json::Value::as_f64))
        .collect();
    assert!(losses.len() == 2 && losses[1] < losses[0], "{losses:?}");
}

#[test]
fn a_run_in_two_parts_gives_the_bytes_of_one() {
    let world = World::new();
    let (whole, parts) = (world.folder.path().join("whole"), world.folder.path().join("parts"));
    train(&whole, &world.base, masks(&world, 6, 5e-3), &world.dataset, &OPTIONS).unwrap();
    train(&parts, &world.base, masks(&world, 6, 5e-3), &world.dataset, &OPTIONS).unwrap();
    fs::rename(parts.join(crate::training::checkpoint::PREVIOUS), parts.join(crate::training::checkpoint::CURRENT)).unwrap();
    fs::remove_file(parts.join(LEARNED_MASKS)).unwrap();
    let (_, summary) = train(&parts, &world.base, masks(&world, 6, 5e-3), &world.dataset, &OPTIONS).unwrap();
    assert_eq!(summary.steps_here, 2);
    for name in [LEARNED_MASKS, "log.jsonl", "validation/step-000006.png"] {
        assert_eq!(fs::read(whole.join(name)).unwrap(), fs::read(parts.join(name)).unwrap(), "{name}");
    }
}
