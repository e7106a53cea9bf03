//! Learned masks as a user runs them: train-masks, masks, generate with them, killed and gone on with, divided over processes, and what is refused.

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anodiff::anomaly::learned::Kind;
use anodiff::anomaly::mask_source::{MaskSource, Masks, Request};
use anodiff::anomaly::presets::PresetName;
use anodiff::data::dataset::Dataset;
use anodiff::data::foreground::foreground;
use anodiff::data::mask_rules::share_on;
use anodiff::data::picture::Picture;
use anodiff::models::base::BaseModel;
use anodiff::nn::Placement;
use program::{World, files, interrupt, refused, succeed};

impl World {
    fn train_masks(&self, out: &str, arguments: &[&str]) -> Command {
        let fixed = ["--out", out, "--steps", "8", "--batch-size", "2", "--checkpoint-every", "2", "--validate-every", "4"];
        self.command_on_data("train-masks", &[&fixed, arguments].concat())
    }

    fn masks(&self, out: &str, arguments: &[&str]) -> Command {
        self.command_on_data("masks", &[&["--learned", "run", "--out", out, "--count", "5", "--steps", "3"], arguments].concat())
    }

    fn generate(&self, out: &str, arguments: &[&str]) -> Command {
        let fixed = ["--learned", "run", "--out", out, "--object", "plate", "--type", "dot", "--count", "5", "--steps", "3"];
        self.command_on_data("generate", &[&fixed, arguments].concat())
    }
}

#[test]
fn masks_are_learned_drawn_and_used_whatever_happens_on_the_way() {
    let world = World::new();
    succeed(world.command_on_data("train", &["--out", "run", "--steps", "2", "--batch-size", "2", "--validate-every", "0"]));
    let output = succeed(world.train_masks("run", &["--json"]));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((result["steps"].as_u64(), result["types"].as_u64()), (Some(8), Some(2)));
    for (signal, count) in [("-KILL", 1), ("-TERM", 4)] {
        interrupt(world.train_masks("again", &["--resume"]), signal, &world.path("again"), count);
    }
    succeed(world.train_masks("again", &["--resume"]));
    for name in ["masks/masks.safetensors", "masks/log.jsonl"] {
        assert_eq!(fs::read(world.path("run").join(name)).unwrap(), fs::read(world.path("again").join(name)).unwrap(), "{name}");
    }

    let output = succeed(world.masks("whole", &["--json"]));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(rows[0]["masks"], 5);
    assert!((0.0..=1.0).contains(&rows[0]["acceptance_rate"].as_f64().unwrap()), "{rows}");
    for (signal, count) in [("-KILL", 1), ("-TERM", 4)] {
        interrupt(world.masks("parts", &["--batch-size", "1"]), signal, &world.path("parts"), count);
    }
    succeed(world.masks("parts", &["--batch-size", "3", "--threads", "1"]));
    assert_eq!(files(&world.path("whole")), files(&world.path("parts")));

    // Drawn on the way and made ahead are the same masks, where the settings are.
    succeed(world.command_on_data("masks", &["--learned", "run", "--out", "ahead", "--count", "3", "--types", "dot"]));
    succeed(world.generate("drawn", &["--count", "3", "--masks", "learned"]));
    succeed(world.generate("given", &["--count", "3", "--masks", "ahead"]));
    let pairs =
        |name: &str| -> BTreeMap<_, _> { files(&world.path(name)).into_iter().filter(|(name, _)| name.extension().unwrap() == "png").collect() };
    assert_eq!(pairs("drawn"), pairs("given"));
}

#[test]
fn shares_of_a_run_make_what_one_process_makes() {
    let world = World::new();
    succeed(world.command_on_data("train", &["--out", "run", "--steps", "2", "--batch-size", "2", "--validate-every", "0"]));
    succeed(world.generate("whole", &["--count", "20"]));
    let mut children: Vec<_> =
        ["2/3", "1/3"].iter().map(|share| world.generate("shares", &["--count", "20", "--shard", share]).spawn().unwrap()).collect();
    let mut last = world.generate("shares", &["--count", "20", "--shard", "auto"]);
    last.env("SLURM_ARRAY_TASK_ID", "2").env("SLURM_ARRAY_TASK_COUNT", "3").env_remove("SLURM_ARRAY_TASK_MIN").env_remove("SLURM_ARRAY_TASK_STEP");
    succeed(last);
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    let manifests = fs::read_dir(world.path("shares")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(manifests, 3, "a manifest each, no lock");
    // The whole run finds nothing left to do and joins the manifests.
    succeed(world.generate("shares", &["--count", "20"]));
    assert_eq!(files(&world.path("whole")), files(&world.path("shares")));
}

/// The sources that need no network, over thousands of seeds: never empty or full, on the object, of the size of real masks.
#[test]
fn cheap_masks_obey_their_rules_whatever_the_seed() {
    const SIDE: usize = 32;
    let world = World::new();
    let base = BaseModel::load(Some(&world.path("model")), Placement::HOST).unwrap();
    let dataset = Dataset::scan(&world.path("data")).unwrap();
    // A dark disc, a little grainy, on an even bright ground.
    let shade = |index: usize| {
        let away = ((index % SIDE) as f32 - 15.5).hypot((index / SIDE) as f32 - 14.0);
        if away < 10.0 { -0.7 + 0.02 * (index % 5) as f32 } else { 0.6 }
    };
    let normal = Picture::from_parts(SIDE, SIDE, (0..SIDE * SIDE).flat_map(|index| [shade(index); 3]).collect());
    let object = foreground(&normal);
    assert!((0.2..0.5).contains(&object.share()), "{object:?}");
    for (kind, seed) in (0..3000).map(|seed| (seed as usize % 2, seed)) {
        let found = &dataset.objects[0].types[kind];
        let kind = Kind::new("plate", &found.name);
        let request = Request { kind: &kind, found, preset: PresetName::Default, side: SIDE, seed };
        let (mut placed, mut areas) = (Vec::new(), Vec::new());
        for source in [MaskSource::Real, MaskSource::Procedural] {
            let masks = Masks::load(&source, &base, &request).unwrap();
            let drawn = masks.masks(&[(seed % 7, &normal)], &|| None).unwrap().remove(0);
            let again = masks.masks(&[(3, &normal), (seed % 7, &normal)], &|| None).unwrap().remove(1);
            assert_eq!(drawn, again, "seed {seed}: a mask depends on its number alone");
            let mask = drawn.mask;
            assert_eq!((mask.width(), mask.height()), (SIDE, SIDE));
            assert!(!mask.is_empty() && !mask.is_full(), "seed {seed}: {mask:?}");
            placed.push(share_on(&mask, &object));
            areas.push(mask.area());
        }
        // Real masks are cropped and turned until they lie on the object, at best; drawn ones lie on it wholly.
        assert!(placed[0] > 0.5 && placed[1] == 1.0, "seed {seed}: {placed:?}");
        assert!(areas[1] <= 64, "seed {seed}: real masks have at most 64 pixels: {areas:?}");
    }
}

#[test]
fn wrong_input_is_refused() {
    let world = World::new();
    refused(world.train_masks("run", &["--steps", "0"]), &["--steps"]);
    refused(world.train_masks("run", &["--preset", "fast"]), &["--preset fast"]);
    refused(world.train_masks("run", &["--learning-rate", "-1"]), &["--learning-rate"]);
    refused(world.train_masks("run", &["--types", "dott"]), &["dott", "dot"]);
    refused(world.train_masks("data/run", &[]), &["inside"]);
    refused(world.masks("out", &[]), &["train-masks"]);
    refused(world.masks("out", &["--source", "nowhere"]), &["nowhere"]);
    refused(world.masks("out", &["--source", "real", "--count", "0"]), &["'0' for '--count"]);
    refused(world.masks("out", &["--source", "real", "--shard", "3/2"]), &["--shard 3/2"]);
    succeed(world.train_masks("run", &["--types", "dot"]));
    refused(world.masks("out", &["--threshold", "2"]), &["--threshold"]);
    refused(world.masks("out", &["--types", "line"]), &["plate+line", "plate+dot"]);
    fs::write(world.path("run/masks/masks.safetensors"), b"not that").unwrap();
    refused(world.masks("out", &[]), &["masks.safetensors"]);
}
