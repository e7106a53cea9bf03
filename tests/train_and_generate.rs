//! The main job as a user runs it, on a miniature model: train, generate, killed and gone on with, and what is refused.

mod program;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anodiff::testing::miniature;
use program::{World, files, interrupt, refused, succeed};

impl World {
    fn train(&self, out: &str, arguments: &[&str]) -> Command {
        let fixed = ["--out", out, "--steps", "8", "--batch-size", "2", "--resolution", "32", "--checkpoint-every", "2", "--validate-every", "4"];
        self.command_on_data("train", &[&fixed, arguments].concat())
    }

    fn generate(&self, out: &str, arguments: &[&str]) -> Command {
        let fixed = ["--learned", "run", "--out", out, "--object", "plate", "--type", "dot", "--count", "24", "--steps", "10"];
        self.command_on_data("generate", &[&fixed, arguments].concat())
    }
}

#[test]
fn train_then_generate_whatever_happens_on_the_way() {
    let world = World::new();
    let learned = |run: &str| fs::read(world.path(run).join("learned.safetensors")).unwrap();
    let output = succeed(world.train("run", &["--json"]));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["steps"], 8);
    assert!(result["loss"].as_f64().unwrap() > 0.0);
    assert!(world.path("run/validation/step-000008.png").is_file());

    for (signal, count) in [("-KILL", 1), ("-TERM", 4), ("-INT", 5)] {
        interrupt(world.train("again", &["--resume"]), signal, &world.path("again"), count);
    }
    succeed(world.train("again", &["--resume"]));
    assert_eq!(learned("run"), learned("again"));
    assert_eq!(fs::read(world.path("run/log.jsonl")).unwrap(), fs::read(world.path("again/log.jsonl")).unwrap());

    succeed(world.generate("whole", &["--save-intermediates"]));
    let intermediates = world.path("whole/intermediates");
    assert!(files(&intermediates).len() >= 24 * 10);
    fs::remove_dir_all(intermediates).unwrap();
    for (signal, count) in [("-KILL", 1), ("-TERM", 3), ("-KILL", 5), ("-INT", 7)] {
        interrupt(world.generate("parts", &["--batch-size", "1"]), signal, &world.path("parts"), count);
    }
    succeed(world.generate("parts", &["--batch-size", "3", "--threads", "1"]));
    let parts = files(&world.path("parts"));
    assert_eq!(files(&world.path("whole")), parts);
    // One thread computes, and no other waits for it in vain.
    succeed(world.generate("alone", &["--threads", "1"]));
    assert_eq!(files(&world.path("whole")), files(&world.path("alone")));
    assert_eq!(String::from_utf8_lossy(&parts[Path::new("manifest.jsonl")]).lines().count(), 24);
}

#[test]
fn the_same_command_from_a_config_file() {
    let world = World::new();
    succeed(world.train("run", &["--types", "dot", "--seed", "3"]));
    let config = fs::read_to_string(world.path("run/config.toml")).unwrap();
    assert!(config.contains("seed = 3") && config.contains("types = [\"dot\"]"), "{config}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_anodiff"));
    command.current_dir(world.folder.path()).args(["train", "--config", "run/config.toml", "--out", "second"]);
    succeed(command);
    assert_eq!(fs::read(world.path("run/learned.safetensors")).unwrap(), fs::read(world.path("second/learned.safetensors")).unwrap());
}

#[test]
fn wrong_arguments_and_input_are_refused() {
    let world = World::new();
    refused(world.train("run", &["--objects", "plait"]), &["plait", "plate"]);
    refused(world.train("run", &["--types", "dott"]), &["dott", "dot"]);
    refused(world.train("run", &["--preset", "fast"]), &["--preset fast"]);
    refused(world.train("run", &["--learning-rate", "NaN"]), &["--learning-rate"]);
    refused(world.train("run", &["--learning-rate", "-1"]), &["--learning-rate"]);
    refused(world.train("run", &["--accumulate", "0"]), &["'0' for '--accumulate"]);
    refused(world.train("run", &["--resolution", "33"]), &["--resolution 33", "multiple of 4"]);
    refused(world.train("data/run", &[]), &["--out", "inside"]);
    refused(world.train("run", &["--model", "data"]), &["data"]);
    assert!(!world.path("run").exists() && !world.path("data/run").exists(), "nothing was written");
    let output = succeed(world.train("run", &["--dry-run"]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("plate+line"));
    let scheduler = world.path("model/scheduler/scheduler_config.json");
    let usual = fs::read_to_string(&scheduler).unwrap();
    fs::write(&scheduler, r#"{"beta_schedule": "cubic"}"#).unwrap();
    refused(world.train("run", &["--dry-run"]), &["scheduler_config.json", "cubic"]);
    fs::write(&scheduler, usual).unwrap();
    assert!(!world.path("run").exists(), "a dry run writes nothing");

    succeed(world.train("run", &["--types", "dot"]));
    refused(world.train("run", &["--types", "dot"]), &["--resume"]);
    refused(world.train("run", &["--types", "line", "--resume"]), &["types", "another"]);
    refused(world.generate("out", &["--type", "line"]), &["plate+line", "plate+dot"]);
    refused(world.generate("out", &["--object", "../data"]), &["../data"]);
    refused(world.generate("out", &["--count", "0"]), &["'0' for '--count"]);
    refused(world.generate("out", &["--steps", "0"]), &["--steps"]);
    refused(world.generate("out", &["--eta", "2"]), &["--eta"]);
    refused(world.generate("out", &["--reweight", "on"]), &["--reweight on"]);
    refused(world.generate("out", &["--masks", "nowhere"]), &["nowhere"]);
    refused(world.generate("out", &["--learned", "data/plate/train/good/000.png"]), &["000.png"]);
    refused(world.generate("data/plate", &[]), &["--out", "inside"]);
    miniature::model(&world.path("model"), 2);
    refused(world.generate("out", &[]), &["base model"]);
    assert!(!world.path("out/plate").exists() && !world.path("data/plate/manifest.jsonl").exists(), "no pair was written");
}

#[test]
fn what_does_not_fit_in_memory_ends_in_a_sentence() {
    let world = World::new();
    let limited = |name: &str, kilobytes: u32, batch: &str| {
        let train = world.train(name, &["--batch-size", batch, "--steps", "1", "--resolution", "64"]);
        let mut command = Command::new("bash");
        command.current_dir(world.folder.path()).args(["-c", &format!("ulimit -v {kilobytes} && exec \"$@\""), "bash"]);
        command.arg(train.get_program()).args(train.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    refused(limited("much", 1_000_000, "1000"), &["memory is full", "MB wanted", "--batch-size"]);
    succeed(limited("little", 1_000_000, "4"));

    // The same step in batches that fit; the run goes on in them.
    let fitted = |resume: &[&str]| {
        let mut command = limited("fitted", 1_000_000, "600");
        command.arg("--auto-batch").args(resume);
        succeed(command);
        let config: toml::Table = fs::read_to_string(world.path("fitted/config.toml")).unwrap().parse().unwrap();
        ["batch-size", "accumulate"].map(|name| config["train"][name].as_integer().unwrap())
    };
    let [batch, accumulate] = fitted(&[]);
    assert!(batch > 1 && accumulate > 1 && batch * accumulate == 600, "{batch}, {accumulate}");
    assert_eq!(fitted(&["--resume"]), [batch, accumulate]);
}
