//! `anodiff filter` and `anodiff export` as a user runs them, on pairs of a miniature model, and what is refused.

mod program;

use std::fs;
use std::process::Command;
use std::time::Duration;

use program::{World, refused, succeed};

impl World {
    /// With a learned run and eight pairs.
    fn with_pairs() -> Self {
        let world = Self::new();
        let model = ["--model", "model", "--data", "data"];
        let train = ["--out", "run", "--steps", "2", "--batch-size", "2", "--validate-every", "0"];
        succeed(world.command("train", &[&model[..], &train].concat()));
        succeed(world.command("train-masks", &[&model[..], &train].concat()));
        let generate = ["--learned", "run", "--object", "plate", "--type", "dot", "--count", "8", "--steps", "2", "--out", "pairs"];
        succeed(world.command("generate", &[&model[..], &generate].concat()));
        world
    }

    fn filter(&self, arguments: &[&str]) -> Command {
        self.command("filter", &[&["--generated", "pairs", "--data", "data", "--model", "model"], arguments].concat())
    }

    fn export(&self, format: &str, out: &str, arguments: &[&str]) -> Command {
        self.command("export", &[&["--format", format, "--out", out], arguments].concat())
    }
}

#[test]
fn pairs_are_filtered_and_exported_and_embeddings_too() {
    let world = World::with_pairs();
    let output = succeed(world.filter(&["--least-change", "0", "--least-psnr", "0", "--json"]));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let kept = result["types"][0]["kept"].as_u64().unwrap();
    assert_eq!(result["types"][0]["pairs"], 8);
    let keep = fs::read_to_string(world.path("pairs/filter/keep.txt")).unwrap();
    assert_eq!(keep.lines().count() as u64, kept);
    fs::write(world.path("two.txt"), "plate/test/dot/000001.png\nplate/test/dot/000005.png\n").unwrap();
    for (format, file) in [("anomalib", "plate.yaml"), ("coco", "instances.json"), ("yolo", "data.yaml")] {
        let arguments = ["--generated", "pairs", "--data", "data", "--keep", "two.txt", "--json"];
        // Over so soon that nothing can be waited for: killed wherever it is.
        let mut child = world.export(format, format, &arguments).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(15));
        child.kill().unwrap();
        child.wait().unwrap();
        let output = succeed(world.export(format, format, &arguments));
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&result["files"][0], &result["pairs"]), (&file.into(), &2.into()));
        assert!(world.path(format).join(file).is_file());
    }
    let output = succeed(world.export("diffusers", "diffusers", &["--learned", "run", "--model", "model"]));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 4, "two types, e_a and e_m each");
    assert!(world.path("diffusers/mask-plate-dot/learned_embeds.safetensors").is_file());
    succeed(world.export("emb-params", "a1111", &["--learned", "run", "--model", "model"]));
    assert!(world.path("a1111/anomaly-plate-line.safetensors").is_file());
}

#[test]
fn wrong_input_is_refused() {
    let world = World::with_pairs();
    refused(world.filter(&["--least-change", "2"]), &["'2' for '--least-change"]);
    refused(world.filter(&["--most-distance", "0"]), &["'0' for '--most-distance"]);
    refused(world.filter(&["--generated", "run", "--out", "lists"]), &["no generated pair"]);
    refused(world.filter(&["--out", "data/lists"]), &["inside"]);
    refused(world.export("voc", "out", &[]), &["anomalib", "yolo"]);
    refused(world.export("coco", "out", &[]), &["--generated"]);
    refused(world.export("anomalib", "out", &["--generated", "pairs"]), &["--data"]);
    refused(world.export("diffusers", "out", &["--model", "model"]), &["--learned"]);
    refused(world.export("coco", "pairs/out", &["--generated", "pairs"]), &["inside"]);
    fs::write(world.path("list.txt"), "plate/test/dot/999999.png\n").unwrap();
    refused(world.export("coco", "out", &["--generated", "pairs", "--keep", "list.txt"]), &["999999.png"]);
    assert!(!world.path("out").exists());
}
