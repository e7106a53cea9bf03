//! `anodiff quality` as a user runs it.

mod program;

use std::fs;
use std::process::Command;

use anodiff::testing::miniature;
use program::{World, refused, succeed};

/// With pairs of another program: there is no manifest.
fn world() -> World {
    let world = World::new();
    miniature::data_set(&world.path("pairs"), 2);
    world
}

impl World {
    fn quality(&self, out: &str, arguments: &[&str]) -> Command {
        self.command("quality", &[&["--data", "data", "--generated", "pairs", "--out", out], arguments].concat())
    }
}

#[test]
fn a_folder_without_manifest_is_measured_as_far_as_it_goes() {
    let world = world();
    let output = succeed(world.quality("out", &["--types", "line"]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no manifest.jsonl"));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("object  type  pairs\nplate   line      2\n"));
    let csv = fs::read_to_string(world.path("out/quality.csv")).unwrap();
    assert_eq!(csv.lines().nth(1).unwrap(), "plate,line,2,,,,,,,");
    let output = succeed(world.quality("out", &["--types", "line", "--json"]));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json, serde_json::from_slice::<serde_json::Value>(&fs::read(world.path("out/quality.json")).unwrap()).unwrap());
    assert_eq!(json["rows"][0]["pairs"], 2);
}

#[test]
fn wrong_input_is_refused() {
    let world = world();
    fs::write(world.path("not.safetensors"), b"not weights").unwrap();
    refused(world.quality("out", &["--inception", "nowhere.safetensors"]), &["nowhere.safetensors"]);
    refused(world.quality("out", &["--lpips", "not.safetensors"]), &["not.safetensors"]);
    refused(world.quality("out", &["--lpips-network", "resnet"]), &["vgg or alex"]);
    refused(world.quality("out", &["--resolution", "8"]), &["--resolution 8"]);
    refused(world.quality("out", &["--types", "dots"]), &["dot"]);
    refused(world.quality("data/out", &[]), &["inside"]);
    refused(world.quality("pairs/out", &[]), &["inside"]);
    fs::rename(world.path("data/plate"), world.path("data/board")).unwrap();
    refused(world.quality("out", &[]), &["plate", "board"]);
}
