//! `pretrain`: a run that is stopped at any moment goes on to the same model.

mod program;

use std::process::Command;

use program::{World, files, interrupt, paths, refused, succeed};

fn pretrain(world: &World, out: &str, arguments: &[&str]) -> Command {
    world.command("pretrain", &[&["--recipe", "smoke", "--out", out, "--checkpoint-every", "2", "--preview-every", "3"], arguments].concat())
}

#[test]
fn a_base_model_whatever_happens_on_the_way() {
    let world = World::new();
    succeed(pretrain(&world, "whole", &[]));
    let expected = files(&world.path("whole/model"));
    assert!(expected.len() >= 8, "{:?}", expected.keys());
    let count = paths(&world.path("whole")).len();

    // In both stages, and while checkpoints are written.
    for (signal, part) in [("-KILL", 0.0), ("-TERM", 0.2), ("-KILL", 0.4), ("-INT", 0.5)] {
        interrupt(pretrain(&world, "again", &["--resume"]), signal, &world.path("again"), (part * count as f64) as usize);
    }
    succeed(pretrain(&world, "again", &["--resume"]));
    assert_eq!(files(&world.path("again/model")), expected);
    refused(pretrain(&world, "again", &[]), &["not empty", "--resume"]);
    refused(pretrain(&world, "again", &["--resume", "--seed", "1"]), &["seed", "another"]);
}
