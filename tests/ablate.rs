//! `anodiff ablate` as a user runs it: one table, killed and gone on with, and what is refused.

mod program;

use std::fs;
use std::process::Command;

use program::{World, interrupt, paths, refused, succeed};

impl World {
    fn ablate(&self, out: &str, arguments: &[&str]) -> Command {
        let fixed = ["--out", out, "--denoising-steps", "4", "--count", "2", "--resolution", "32"];
        let network = ["--width", "2", "--steps", "8", "--batch-size", "2", "--learning-rate", "0.001"];
        self.command_on_data("ablate", &[&fixed[..], &network, arguments].concat())
    }

    fn result(&self, out: &str) -> (String, Vec<u8>) {
        let read = |name: &str| fs::read(self.path(out).join(name)).unwrap();
        (String::from_utf8(read("ablation.csv")).unwrap(), read("ablation.json"))
    }
}

#[test]
fn the_papers_five_rows_whatever_happens_on_the_way() {
    let world = World::new();
    let steps = ["--train-steps", "12"];
    let output = succeed(world.ablate("whole", &steps));
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let switches: Vec<&[&str]> = rows[1..6].iter().map(|row| &row[..4]).collect();
    #[rustfmt::skip]
    assert_eq!(switches, [
        ["none", "-", "-", "-"], ["sae", "yes", "-", "-"], ["sae+ml", "yes", "yes", "-"], ["ml+aar", "-", "yes", "yes"], ["all", "yes", "yes", "yes"],
    ], "{table}");
    let whole = world.result("whole");
    assert_eq!(whole.0.lines().count(), 6, "{}", whole.0);
    let count = paths(&world.path("whole")).len();
    for (signal, part) in [("-KILL", 1), ("-TERM", 4), ("-KILL", 8)] {
        interrupt(world.ablate("parts", &steps), signal, &world.path("parts"), part * count / 10);
    }
    succeed(world.ablate("parts", &steps));
    assert_eq!(world.result("parts"), whole);
    // The report takes it.
    let mut report = Command::new(env!("CARGO_BIN_EXE_anodiff"));
    report.current_dir(world.folder.path()).args(["report", "whole"]);
    succeed(report);
    let html = fs::read_to_string(world.path("whole/report.html")).unwrap();
    assert!(html.contains("<h2>Ablation</h2>") && html.contains("<td>sae+ml</td>"), "the table is on the page");
}

#[test]
fn wrong_input_is_refused() {
    let world = World::new();
    refused(world.ablate("out", &["--train-steps", "0"]), &["--train-steps", "1 to"]);
    refused(world.ablate("out", &["--count", "0"]), &["--count", "1 to 1000000"]);
    refused(world.ablate("out", &["--preset", "papr"]), &["--preset papr"]);
    refused(world.ablate("out", &["--objects", "plait"]), &["plate"]);
    refused(world.ablate("out", &["--resolution", "40"]), &["multiple of 32"]);
    refused(world.ablate("out", &["--seeds", "0"]), &["--seeds 0"]);
    refused(world.ablate("data/out", &[]), &["inside"]);
    refused(world.ablate("out", &["--denoising-steps", "0"]), &["--denoising-steps", "1 to"]);
    refused(world.ablate("out", &["--denoising-steps", "5000"]), &["--denoising-steps", "5000", "1000"]);
    refused(world.ablate("out", &["--count", "2000000"]), &["2000000", "--count", "1 to 1000000"]);
    refused(world.ablate("out", &["--images-together", "0"]), &["--images-together", "1 to 1024"]);
    refused(world.ablate("out", &["--batch-size", "0"]), &["--batch-size", "1 to 1024"]);
    refused(world.ablate("out", &["--steps", "0"]), &["--steps 0"]);
    refused(world.ablate("out", &["--learning-rate", "-1"]), &["--learning-rate", "a number above 0"]);
    refused(world.ablate("out", &["--masks", "learned"]), &["--masks learned"]);
    refused(world.ablate("out", &["--masks", "nowhere"]), &["--masks nowhere", "scattered"]);
    // Masks that were made ahead for fewer pairs, also where a preset looks at eight together.
    succeed(world.command_on_data("masks", &["--source", "real", "--count", "2", "--out", "masks"]));
    refused(world.ablate("out", &["--masks", "masks", "--count", "3"]), &["--masks masks", "number 2"]);
    refused(world.ablate("out", &["--masks", "masks", "--preset", "official"]), &["--masks masks", "number 2"]);
    fs::remove_dir_all(world.path("data/plate/train")).unwrap();
    refused(world.ablate("out", &[]), &["plate has no normal picture"]);
    assert!(!world.path("out").exists());
}
