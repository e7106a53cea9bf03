//! `anodiff pipeline` as a user runs it, on a miniature model: killed at random points, divided over processes, and what is refused.

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anodiff::tensor::random::Sampler;
use program::{World, files, interrupt, paths, refused, succeed};

/// Everything so small that a run takes a few seconds.
const CONFIG: &str = "
threads = 2
[train]
steps = 6
batch-size = 2
checkpoint-every = 2
validate-every = 3
[train-masks]
steps = 6
batch-size = 2
checkpoint-every = 2
validate-every = 3
[masks]
steps = 2
[generate]
steps = 2
[filter]
least-change = 0
least-psnr = 0
[evaluate]
resolution = 32
width = 2
steps = 8
batch-size = 4
";

fn world() -> World {
    let world = World::with_test_normal();
    fs::write(world.path("settings.toml"), CONFIG).unwrap();
    world
}

impl World {
    fn pipeline(&self, out: &str, arguments: &[&str]) -> Command {
        self.command_on_data("pipeline", &[&["--config", "settings.toml", "--out", out, "--count", "10"], arguments].concat())
    }
}

/// All files that do not depend on the clock, the folder's name, or where a run was interrupted: not the events for TensorBoard, not the flags of a
/// stage, not the checkpoint before the last.
fn lasting(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let lasts = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy();
        !name.contains("tfevents") && !name.contains(".previous.") && name != "config.toml"
    };
    files(folder).into_iter().filter(|(path, _)| lasts(path)).collect()
}

#[track_caller]
fn assert_same(whole: &Path, other: &Path, parts: &[&str]) {
    for part in parts {
        let (whole, other) = (lasting(&whole.join(part)), lasting(&other.join(part)));
        assert_eq!(whole.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{part}");
        let differing: Vec<_> = whole.iter().filter(|(name, bytes)| other[*name] != **bytes).map(|(name, _)| name).collect();
        assert!(differing.is_empty(), "{part}: {differing:?}");
    }
}

#[test]
fn killed_at_random_points_it_ends_with_the_same_bytes() {
    let world = world();
    let output = succeed(world.pipeline("whole", &["--json"]));
    let text = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((last["complete"].as_bool(), last["stages"].as_array().unwrap().len()), (Some(true), 8));
    let whole = world.path("whole");
    assert_eq!(fs::read_to_string(whole.join("generated/manifest.jsonl")).unwrap().lines().count(), 20);
    assert!(whole.join("evaluation/results.csv").is_file());
    let report = fs::read_to_string(whole.join("report.html")).unwrap();
    assert!(report.contains("<h2>Generated pairs: generated</h2>") && report.contains("<h2>Inspection networks: evaluation</h2>"));

    // Every stage is hit: the moments are spread over all files that the whole run leaves.
    let (count, mut sampler, mut hits) = (paths(&whole).len(), Sampler::new(1, "moments", &[]), 0);
    for moment in 0..14 {
        let signal = *sampler.pick(&["-KILL", "-KILL", "-TERM", "-INT"]);
        let files = 1 + moment * count / 15 + sampler.below(count / 15);
        // The one before may have come so late that this moment is past.
        if paths(&world.path("killed")).len() < files {
            interrupt(world.pipeline("killed", &[]), signal, &world.path("killed"), files);
            hits += 1;
        }
    }
    assert!(hits >= 8, "{hits} interruptions");
    succeed(world.pipeline("killed", &[]));
    assert_same(&whole, &world.path("killed"), &["run", "masks", "generated", "filter", "evaluation", "stages"]);
    // Nothing left to do: at once, and nothing changes.
    let before = lasting(&whole);
    let output = succeed(world.pipeline("whole", &["--json"]));
    let last: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((last["complete"].as_bool(), last["stages"].as_array().unwrap().len()), (Some(true), 0));
    assert!(lasting(&whole) == before);
}

#[test]
fn shares_started_together_make_what_one_process_makes() {
    let world = world();
    succeed(world.pipeline("whole", &["--masks", "real"]));
    let children: Vec<_> =
        ["1/2", "2/2"].iter().map(|share| world.pipeline("shares", &["--masks", "real", "--shard", share]).spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // Whichever was last did the rest, or it is done now.
    succeed(world.pipeline("shares", &["--masks", "real"]));
    assert_same(&world.path("whole"), &world.path("shares"), &["run", "masks", "generated", "filter", "evaluation"]);
}

#[test]
fn stages_can_be_done_one_after_the_other_and_other_settings_are_refused() {
    let world = world();
    succeed(world.pipeline("out", &["--until", "train"]));
    assert!(world.path("out/run/learned.safetensors").is_file() && !world.path("out/masks").exists());
    refused(world.pipeline("out", &["--seed", "5"]), &["seed", "other settings"]);
    refused(world.pipeline("out", &["--count", "11"]), &["count", "now 11, before 10"]);
    refused(world.pipeline("out", &["--until", "trian"]), &["--until trian", "train"]);
    refused(world.pipeline("new", &["--count", "0"]), &["--count 0"]);
    refused(world.pipeline("new", &["--shard", "3/2"]), &["--shard 3/2"]);
    refused(world.pipeline("new", &["--masks", "file"]), &["--masks"]);
    refused(world.pipeline("new", &["--data", "nowhere"]), &["nowhere"]);
    refused(world.pipeline("data/new", &[]), &["inside"]);
    assert!(!world.path("new").exists());
    refused(world.pipeline("model", &[]), &["holds no pipeline"]);
}

#[test]
fn settings_of_any_stage_are_refused_before_the_first_begins() {
    let world = world();
    for (table, values, parts) in [
        ("check", "types = ['dot']", &["--types"][..]),
        ("train", "steps = 0", &["'0' for '--steps", "1 to"]),
        ("train", "resolution = 33", &["--resolution 33", "multiple of 4"]),
        ("train", "templates = 'nowhere.txt'", &["--templates", "nowhere.txt"]),
        ("train", "encoder-weights = 'nowhere.safetensors'", &["--encoder-weights", "nowhere.safetensors"]),
        ("train", "types = ['dot']", &["--types", "plate+line"]),
        ("train", "preset = 'paper'", &["preset = \"paper\"", "--preset=default"]),
        ("train", "model = 'other'", &["model = \"other\"", "--model=model"]),
        ("train-masks", "batch-size = 0", &["'0' for '--batch-size", "1 to 1024"]),
        ("train-masks", "seed = 7", &["seed = 7", "--seed=0"]),
        ("masks", "steps = 0", &["'0' for '--steps", "1 to"]),
        ("masks", "steps = 1001", &["--steps", "1001", "1000"]),
        ("masks", "threshold = 2", &["'2' for '--threshold", "below 1"]),
        ("masks", "batch-size = 0", &["'0' for '--batch-size", "1 to 1024"]),
        ("generate", "stps = 3", &["--stps", "--steps"]),
        ("generate", "steps = 5000", &["--steps", "5000", "1000"]),
        ("generate", "steps = 'many'", &["--steps", "many"]),
        ("generate", "batch-size = 0", &["'0' for '--batch-size", "1 to 1024"]),
        ("generate", "reweight = 'on'", &["--reweight on"]),
        ("generate", "masks = 'nowhere'", &["masks = \"nowhere\"", "--masks=new/masks"]),
        ("generate", "object = 'plate'\ntype = 'dot'", &["type = \"dot\"", "--type=line"]),
        ("filter", "least-change = 7", &["'7' for '--least-change"]),
        ("evaluate", "resolution = 33", &["--resolution 33", "multiple of 32"]),
        ("evaluate", "sources = ['reel']", &["--sources reel", "crop-paste"]),
        ("evaluate", "objects = ['plait']", &["plait", "plate"]),
        ("evaluate", "batch-size = 0", &["'0' for '--batch-size", "1 to 1024"]),
        ("evaluate", "classify = true\nclassifier-weights = 'nowhere.safetensors'", &["--classifier-weights", "nowhere.safetensors"]),
        ("report", "folder = 'elsewhere'", &["--folder"]),
    ] {
        fs::write(world.path("settings.toml"), format!("[{table}]\n{values}\n")).unwrap();
        let place = format!("the stage {table}, table [{table}] of settings.toml: ");
        let text = refused(world.pipeline("new", &[]), &[&[place.as_str()], parts].concat());
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!world.path("new").exists(), "{table}: {values}");
    }
    // Not the tables of stages that are left out.
    fs::write(world.path("settings.toml"), "[train-masks]\nsteps = 0\n[evaluate]\nwidth = 0\n").unwrap();
    refused(world.pipeline("new", &["--masks", "real"]), &["the stage evaluate", "'0' for '--width"]);
    fs::write(world.path("settings.toml"), CONFIG).unwrap();
    refused(world.pipeline("new", &["--model", "data"]), &["data"]);
    fs::remove_dir_all(world.path("data/plate/train")).unwrap();
    refused(world.pipeline("new", &[]), &["plate has no normal picture"]);
    assert!(!world.path("new").exists());
}
