//! `anodiff evaluate` as a user runs it: baselines and pairs on a small data set, killed and gone on with, and what is refused.

mod program;

use std::fs;
use std::path::Path;
use std::process::Command;

use anodiff::models::resnet::{ResNetClassifier, ResNetConfig};
use anodiff::testing::{Scattered, miniature};
use program::{World, interrupt, refused, succeed};

/// With a folder that stands for generated pairs: what the command reads is the layout.
fn world() -> World {
    let world = World::with_test_normal();
    miniature::data_set(&world.path("pairs"), 4);
    fs::remove_dir_all(world.path("pairs/plate/train")).unwrap();
    world
}

impl World {
    fn evaluate(&self, out: &str, arguments: &[&str]) -> Command {
        let fixed = ["--data", "data", "--out", out, "--resolution", "32", "--width", "2", "--steps", "12", "--batch-size", "4"];
        self.command("evaluate", &[&fixed[..], arguments].concat())
    }
}

fn results(folder: &Path) -> (String, serde_json::Value) {
    let json = fs::read(folder.join("results.json")).unwrap();
    (fs::read_to_string(folder.join("results.csv")).unwrap(), serde_json::from_slice(&json).unwrap())
}

#[test]
fn one_table_of_all_sources_whatever_happens_on_the_way() {
    let world = world();
    let arguments = ["--generated", "pairs", "--compare", "--seeds", "2"];
    let output = succeed(world.evaluate("whole", &arguments));
    let table = String::from_utf8(output.stdout).unwrap();
    for source in ["generated ", "generated+real", "real", "crop-paste", "cut-paste", "draem"] {
        assert!(table.lines().any(|line| line.starts_with(source) && line.contains('±')), "{table}");
    }
    let (csv, json) = results(&world.path("whole"));
    assert_eq!(csv.lines().count(), 1 + 6 * 3, "each source's object and its two types: {csv}");
    assert_eq!(json["rows"][0]["metrics"]["pixel_auroc"]["values"].as_array().unwrap().len(), 2);

    for (signal, count) in [("-KILL", 2), ("-TERM", 6), ("-KILL", 12)] {
        interrupt(world.evaluate("parts", &arguments), signal, &world.path("parts"), count);
    }
    succeed(world.evaluate("parts", &arguments));
    assert_eq!(results(&world.path("parts")), (csv.clone(), json));
    // Nothing left to train: at once, and the same.
    let output = succeed(world.evaluate("whole", &[&arguments[..], &["--threads", "1", "--json"]].concat()));
    assert_eq!(results(&world.path("whole")).0, csv);
    assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["protocols"]["image_auroc"].is_string());
}

#[test]
fn classes_are_told_apart_and_wrong_input_is_refused() {
    let world = world();
    let classify = ["--sources", "real", "--classify", "--classifier-width", "2", "--classifier-steps", "4"];
    let output = succeed(world.evaluate("out", &classify));
    assert!(String::from_utf8(output.stdout).unwrap().contains("class ACC"));
    // A result with other first weights does not pass for the one without.
    let config = ResNetConfig { width: 2, ..ResNetConfig::resnet34() };
    let root = anodiff::nn::Path::root(&Scattered);
    ResNetClassifier::new(&root, &config, 1000).unwrap();
    anodiff::weights::save(&world.path("imagenet.safetensors"), &root.parameters().tensors().unwrap(), &Default::default()).unwrap();
    let pretrained = [&classify[..], &["--classifier-weights", "imagenet.safetensors"]].concat();
    succeed(world.evaluate("pretrained", &pretrained));
    refused(world.evaluate("out", &pretrained), &["classifier_weights"]);
    let wider = ["--sources", "real", "--classify", "--classifier-width", "4", "--classifier-weights", "imagenet.safetensors"];
    refused(world.evaluate("new", &wider), &["--classifier-weights", "conv1.weight"]);
    refused(world.evaluate("out", &["--sources", "real"]), &["classifier"]);
    refused(world.evaluate("new", &[]), &["--generated"]);
    refused(world.evaluate("new", &["--sources", "dtd"]), &["crop-paste"]);
    refused(world.evaluate("new", &["--generated", "nowhere"]), &["nowhere"]);
    refused(world.evaluate("data/new", &["--sources", "real"]), &["inside"]);
    refused(world.evaluate("new", &["--sources", "real", "--objects", "plait"]), &["plate"]);
    refused(world.evaluate("new", &["--sources", "real", "--resolution", "40"]), &["multiple of 32"]);
    refused(world.evaluate("new", &["--sources", "real", "--seeds", "0"]), &["--seeds 0"]);
    refused(world.evaluate("new", &["--sources", "real", "--batch-size", "0"]), &["'0' for '--batch-size"]);
    refused(world.evaluate("new", &["--sources", "real", "--learning-rate", "-1"]), &["--learning-rate"]);
    refused(world.evaluate("data", &["--sources", "real"]), &["inside"]);
}
