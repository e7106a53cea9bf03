//! Wrong arguments and wrong input: one clear sentence, exit code 2, no panic, nothing left behind.

use std::path::Path;
use std::process::{Command, Output};

fn anodiff(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anodiff")).args(arguments).current_dir(folder).output().expect("the program starts")
}

/// Runs the program in an empty folder and expects a refusal that mentions all of `expected`, and the folder still empty.
#[track_caller]
fn refused(arguments: &[&str], expected: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = anodiff(arguments, folder.path());
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?} ended with {}: {message}", output.status);
    assert!(!message.contains("panicked"), "{arguments:?}: {message}");
    for part in expected {
        assert!(message.contains(part), "{arguments:?}: expected {part:?} in: {message}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{arguments:?} left {left:?}");
}

const TRAIN: [&str; 5] = ["train", "--data", "missing", "--out", "run"];
const GENERATE: [&str; 13] =
    ["generate", "--learned", "missing", "--data", "missing", "--object", "o", "--type", "t", "--count", "1", "--out", "pairs"];
const TRAIN_MASKS: [&str; 5] = ["train-masks", "--data", "missing", "--out", "run"];
const MASKS: [&str; 7] = ["masks", "--data", "missing", "--count", "1", "--out", "masks"];
const PIPELINE: [&str; 5] = ["pipeline", "--data", "missing", "--out", "experiment"];
const QUALITY: [&str; 7] = ["quality", "--generated", "missing", "--data", "missing", "--out", "quality"];
const ABLATE: [&str; 5] = ["ablate", "--data", "missing", "--out", "ablation"];
const FILTER: [&str; 5] = ["filter", "--generated", "missing", "--data", "missing"];

fn with<'a>(base: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    base.iter().chain(more).copied().collect()
}

#[test]
fn every_number_on_the_command_line_is_checked() {
    const WHOLE: [&str; 5] = ["-1", "1.5", "99999999999999999999", "nan", ""];
    const REAL: [&str; 3] = ["nan", "x", ""];
    for (base, flag) in [(&TRAIN[..], "--steps"), (&TRAIN, "--batch-size"), (&TRAIN, "--accumulate"), (&TRAIN, "--resolution"), (&TRAIN, "--seed")] {
        for value in WHOLE {
            refused(&with(base, &[&format!("{flag}={value}")]), &[flag]);
        }
    }
    for flag in ["--steps", "--batch-size", "--accumulate", "--threads"] {
        refused(&with(&TRAIN, &[flag, "0"]), &[flag, "0"]);
    }
    for flag in ["--count", "--steps", "--batch-size"] {
        for value in WHOLE {
            refused(&with(&GENERATE, &[&format!("{flag}={value}")]), &[flag]);
        }
    }
    for (base, flag) in [
        (&TRAIN_MASKS[..], "--steps"),
        (&TRAIN_MASKS, "--batch-size"),
        (&TRAIN_MASKS, "--accumulate"),
        (&MASKS, "--count"),
        (&MASKS, "--steps"),
        (&MASKS, "--batch-size"),
        (&PIPELINE, "--count"),
        (&QUALITY, "--resolution"),
        (&ABLATE, "--count"),
        (&ABLATE, "--train-steps"),
        (&ABLATE, "--denoising-steps"),
        (&ABLATE, "--seeds"),
    ] {
        for value in WHOLE {
            refused(&with(base, &[&format!("{flag}={value}")]), &[flag]);
        }
    }
    for flag in ["--least-change", "--least-psnr", "--most-distance"] {
        refused(&with(&FILTER, &[flag, "nan"]), &[flag]);
    }
    for share in ["0/2", "3/2", "1/0", "x", "-1/2", "1/99999999999999999999"] {
        for base in [&MASKS[..], &GENERATE, &PIPELINE] {
            refused(&with(base, &[&format!("--shard={share}")]), &["--shard"]);
        }
    }
    for (base, flag) in [
        (&TRAIN[..], "--learning-rate"),
        (&GENERATE, "--eta"),
        (&GENERATE, "--guidance"),
        (&TRAIN_MASKS, "--learning-rate"),
        (&MASKS, "--threshold"),
        (&MASKS, "--guidance"),
        (&ABLATE, "--learning-rate"),
    ] {
        for value in REAL {
            refused(&with(base, &[&format!("{flag}={value}")]), &[]);
        }
    }
    refused(&with(&TRAIN, &["--learning-rate=-1"]), &["--learning-rate"]);
}

#[test]
fn unknown_words_are_answered_with_the_nearest() {
    refused(&["trian"], &["train"]);
    refused(&with(&TRAIN, &["--step", "3"]), &["--steps"]);
    refused(&with(&TRAIN, &["--preset", "fast"]), &["default", "paper", "official"]);
    refused(&with(&TRAIN, &["--device", "gpu"]), &["auto", "cpu", "cuda"]);
    refused(&with(&TRAIN, &["--dtype", "f64"]), &["f32", "bf16"]);
    refused(&[], &["Usage"]);
}

#[test]
fn missing_files_are_named() {
    refused(&TRAIN, &["missing"]);
    refused(&GENERATE, &["missing"]);
    refused(&["check", "--data", "missing"], &["missing"]);
    for base in [&TRAIN_MASKS[..], &MASKS, &PIPELINE, &FILTER, &QUALITY, &ABLATE, &["report", "missing"]] {
        refused(base, &["missing"]);
    }
    refused(&["forward", "unet", "--model", "missing", "--in", "a.safetensors", "--out", "b.safetensors"], &["a.safetensors"]);
    refused(&["info", "--model", "missing"], &["missing"]);
    refused(&with(&["--config", "missing.toml"], &TRAIN), &["missing.toml"]);
}

#[test]
fn a_configuration_file_is_checked_like_flags() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (text, expected) in [
        ("[train]\nstep = 3\n", "--step"),
        ("[trian]\nsteps = 3\n", "trian"),
        ("seed = {}\n", "seed"),
        ("seed = \n", "TOML"),
        ("[train]\nsteps = -3\n", "--steps"),
    ] {
        std::fs::write(folder.path().join("c.toml"), text).expect("a file");
        let output = anodiff(&with(&TRAIN, &["--config", "c.toml"]), folder.path());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}: {message}");
        assert!(message.contains(expected), "{text}: expected {expected:?} in: {message}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["train", "--help"],
        &["generate", "--help"],
        &["demo", "--help"],
        &["pretrain", "--help"],
        &["pipeline", "--help"],
        &["masks", "--help"],
    ] {
        let output = anodiff(arguments, folder.path());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}
