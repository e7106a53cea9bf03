//! Wrong arguments and wrong input: one clear sentence, exit code 2, no panic, nothing left behind.

mod program;
#[path = "refusals/signals.rs"]
mod signals;

use std::path::Path;
use std::process::{Command, Output};

use anodiff::cli::Cli;
use clap::Parser;
use program::World;

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

/// Beyond every limit: 2^63 and 2^64 - 1.
const HUGE: [&str; 2] = ["9223372036854775808", "18446744073709551615"];
/// No whole numbers, or none that fit.
const NO_WHOLE: [&str; 5] = ["-1", "1.5", "18446744073709551616", "nan", ""];

/// A numeric flag of a command: a value that is taken, and those that are refused beside [`NO_WHOLE`] or what is no number at all.
struct Row(&'static [&'static str], &'static str, &'static str, Refused);

/// What a flag refuses.
enum Refused {
    /// Whole numbers: these, and what is none.
    Whole(&'static [&'static str]),
    /// Numbers: these, and what is none.
    Real(&'static [&'static str]),
}

use Refused::{Real, Whole};

const NOT_ZERO: Refused = Whole(&["0", HUGE[0], HUGE[1]]);
const OR_ZERO: Refused = Whole(&HUGE);
const ANY: Refused = Whole(&[]);
const SHARE: Refused = Real(&["-1", "1.5", "inf", HUGE[0], HUGE[1]]);
const POSITIVE: Refused = Real(&["0", "-1", "inf", HUGE[0], HUGE[1]]);
const GUIDANCE: Refused = Real(&["-1", "inf", HUGE[0], HUGE[1]]);

const ON_TRAIN: &[&str] = &["train", "--data", "data", "--model", "model", "--out", "out"];
const ON_TRAIN_MASKS: &[&str] = &["train-masks", "--data", "data", "--model", "model", "--out", "out"];
/// Neither needs a run; no flag may be left unchecked for that.
const ON_REAL_MASKS: &[&str] = &["masks", "--source", "real", "--data", "data", "--model", "model", "--count", "1", "--out", "out"];
const ON_GENERATE: &[&str] =
    &["generate", "--learned", "run", "--data", "data", "--model", "model", "--object", "plate", "--type", "dot", "--count", "1", "--out", "out"];
const ON_EVALUATE: &[&str] = &["evaluate", "--data", "data", "--sources", "real", "--classify", "--out", "out"];
const ON_QUALITY: &[&str] = &["quality", "--generated", "data", "--data", "data", "--out", "out"];
const ON_ABLATE: &[&str] = &["ablate", "--data", "data", "--model", "model", "--out", "out"];
const ON_PIPELINE: &[&str] = &["pipeline", "--data", "data", "--model", "model", "--out", "out"];
const ON_FILTER: &[&str] = &["filter", "--generated", "data", "--data", "data", "--model", "model", "--out", "out"];
const ON_PRETRAIN: &[&str] = &["pretrain", "--recipe", "smoke", "--out", "out"];
const ON_DEMO: &[&str] = &["demo", "--model", "model", "--out", "out"];
const ON_BENCH: &[&str] = &["bench", "--model", "model"];
const ON_PROFILE: &[&str] = &["profile", "--model", "model"];
const ON_CHECK: &[&str] = &["check", "--data", "data"];
const ON_INFO: &[&str] = &["info"];

/// Every numeric flag of every command.
const ROWS: &[Row] = &[
    Row(ON_TRAIN, "--steps", "3", NOT_ZERO),
    Row(ON_TRAIN, "--batch-size", "1024", NOT_ZERO),
    Row(ON_TRAIN, "--accumulate", "1024", NOT_ZERO),
    Row(ON_TRAIN, "--resolution", "32", NOT_ZERO),
    Row(ON_TRAIN, "--checkpoint-every", "0", OR_ZERO),
    Row(ON_TRAIN, "--validate-every", "0", OR_ZERO),
    Row(ON_TRAIN, "--looks", "0", OR_ZERO),
    Row(ON_TRAIN, "--close-up", "1.5", Real(&["0", "-1", "9", "inf", HUGE[0], HUGE[1]])),
    Row(ON_TRAIN, "--learning-rate", "0.01", POSITIVE),
    Row(ON_TRAIN, "--seed", HUGE[1], ANY),
    Row(ON_TRAIN, "--threads", "1", NOT_ZERO),
    Row(ON_TRAIN_MASKS, "--steps", "3", NOT_ZERO),
    Row(ON_TRAIN_MASKS, "--batch-size", "1024", NOT_ZERO),
    Row(ON_TRAIN_MASKS, "--accumulate", "1024", NOT_ZERO),
    Row(ON_TRAIN_MASKS, "--resolution", "32", NOT_ZERO),
    Row(ON_TRAIN_MASKS, "--checkpoint-every", "0", OR_ZERO),
    Row(ON_TRAIN_MASKS, "--validate-every", "0", OR_ZERO),
    Row(ON_TRAIN_MASKS, "--learning-rate", "0.01", POSITIVE),
    Row(ON_REAL_MASKS, "--count", "1000000", NOT_ZERO),
    Row(ON_REAL_MASKS, "--steps", "1000", NOT_ZERO),
    Row(ON_REAL_MASKS, "--batch-size", "1024", NOT_ZERO),
    Row(ON_REAL_MASKS, "--resolution", "32", NOT_ZERO),
    Row(ON_REAL_MASKS, "--eta", "1", SHARE),
    Row(ON_REAL_MASKS, "--guidance", "0", GUIDANCE),
    Row(ON_REAL_MASKS, "--threshold", "-1", Real(&["1", "-1.1", "inf", HUGE[0], HUGE[1]])),
    Row(ON_GENERATE, "--count", "1000000", NOT_ZERO),
    Row(ON_GENERATE, "--steps", "1000", NOT_ZERO),
    Row(ON_GENERATE, "--batch-size", "1024", NOT_ZERO),
    Row(ON_GENERATE, "--eta", "1", SHARE),
    Row(ON_GENERATE, "--guidance", "0", GUIDANCE),
    Row(ON_GENERATE, "--coarse-noise", "0", SHARE),
    Row(ON_EVALUATE, "--seeds", "1000", NOT_ZERO),
    Row(ON_EVALUATE, "--resolution", "32", NOT_ZERO),
    Row(ON_EVALUATE, "--width", "512", NOT_ZERO),
    Row(ON_EVALUATE, "--batch-size", "1024", NOT_ZERO),
    Row(ON_EVALUATE, "--learning-rate", "0.01", POSITIVE),
    Row(ON_EVALUATE, "--epochs", "1000000", NOT_ZERO),
    Row(ON_EVALUATE, "--steps", "3", NOT_ZERO),
    Row(ON_EVALUATE, "--pairs-per-type", "1", NOT_ZERO),
    Row(ON_EVALUATE, "--classifier-width", "512", NOT_ZERO),
    Row(ON_EVALUATE, "--classifier-steps", "3", NOT_ZERO),
    Row(ON_QUALITY, "--resolution", "64", NOT_ZERO),
    Row(ON_ABLATE, "--seeds", "1000", NOT_ZERO),
    Row(ON_ABLATE, "--resolution", "32", NOT_ZERO),
    Row(ON_ABLATE, "--width", "512", NOT_ZERO),
    Row(ON_ABLATE, "--batch-size", "1024", NOT_ZERO),
    Row(ON_ABLATE, "--learning-rate", "0.01", POSITIVE),
    Row(ON_ABLATE, "--steps", "3", NOT_ZERO),
    Row(ON_ABLATE, "--train-steps", "3", NOT_ZERO),
    Row(ON_ABLATE, "--denoising-steps", "3", NOT_ZERO),
    Row(ON_ABLATE, "--count", "1", NOT_ZERO),
    Row(ON_ABLATE, "--images-together", "1", NOT_ZERO),
    Row(ON_PIPELINE, "--count", "1", NOT_ZERO),
    Row(ON_FILTER, "--least-change", "0", SHARE),
    Row(ON_FILTER, "--least-psnr", "-1", Real(&["inf"])),
    Row(ON_FILTER, "--most-distance", "inf", Real(&["0", "-1"])),
    Row(ON_PRETRAIN, "--steps-vae", "3", NOT_ZERO),
    Row(ON_PRETRAIN, "--steps-diffusion", "3", NOT_ZERO),
    Row(ON_PRETRAIN, "--batch-size", "1024", NOT_ZERO),
    Row(ON_PRETRAIN, "--checkpoint-every", "1", NOT_ZERO),
    Row(ON_PRETRAIN, "--preview-every", "1", NOT_ZERO),
    Row(ON_DEMO, "--steps", "3", NOT_ZERO),
    Row(ON_DEMO, "--count", "1", NOT_ZERO),
    Row(ON_BENCH, "--size", "32", NOT_ZERO),
    Row(ON_BENCH, "--batch", "1024", NOT_ZERO),
    Row(ON_BENCH, "--steps", "1", NOT_ZERO),
    Row(ON_BENCH, "--runs", "1", NOT_ZERO),
    Row(ON_PROFILE, "--size", "32", NOT_ZERO),
    Row(ON_PROFILE, "--batch", "1024", NOT_ZERO),
    Row(ON_PROFILE, "--steps", "1", NOT_ZERO),
    Row(ON_PROFILE, "--top", HUGE[1], Whole(&["0"])),
    Row(ON_PROFILE, "--depth", HUGE[1], Whole(&["0"])),
    Row(ON_CHECK, "--seed", HUGE[1], ANY),
    Row(ON_CHECK, "--threads", "1024", NOT_ZERO),
    Row(ON_INFO, "--threads", "1024", NOT_ZERO),
];

#[test]
fn names_do_not_steer_the_terminal() {
    let name = "model\u{1b}[2J\u{1b}[31mno error here\u{9b}1A\r";
    refused(&["train", "--data", name, "--out", "run"], &["\\u{1b}[2J", "\\u{9b}1A", "\\r"]);
    let output = anodiff(&["train", "--data", name, "--out", "run"], Path::new("/"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.trim_end().chars().all(|character| !character.is_control()), "{text:?}");
}

#[test]
fn every_number_on_the_command_line_is_checked() {
    let world = World::new();
    for Row(command, flag, taken, bad) in ROWS {
        let taken = format!("{flag}={taken}");
        let control = [&["anodiff"], *command, &[&taken]].concat();
        Cli::try_parse_from(&control).unwrap_or_else(|error| panic!("{control:?}: {error}"));
        let (outside, none): (&[&str], &[&str]) = match bad {
            Whole(outside) => (outside, &NO_WHOLE),
            Real(outside) => (outside, &["nan", "x", ""]),
        };
        for value in outside.iter().chain(none) {
            let refused = format!("{flag}={value}");
            let arguments = [*command, &[&refused]].concat();
            let output = anodiff(&arguments, world.folder.path());
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?} ended with {}: {message}", output.status);
            // The first line alone: a usage that may follow names flags, too.
            let sentence = message.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
            assert!(sentence.contains(flag) && sentence.contains(*value), "{arguments:?}: {message}");
            assert!(!message.contains("panicked"), "{arguments:?}: {message}");
        }
    }
    assert_eq!(names(world.folder.path()), ["data", "model"], "something was written");
}

#[test]
fn a_value_after_a_space_is_no_flag() {
    for (base, flag) in [(&TRAIN[..], "--batch-size"), (&TRAIN, "--seed"), (&GENERATE, "--eta"), (&MASKS, "--steps"), (&QUALITY, "--resolution")] {
        refused(&with(base, &[flag, "-1"]), &[&format!("'-1' for '{flag}")[..]]);
    }
}

#[test]
fn shares_are_checked() {
    for share in ["0/2", "3/2", "1/0", "x", "-1/2", "1/99999999999999999999"] {
        for base in [&MASKS[..], &GENERATE, &PIPELINE] {
            refused(&with(base, &[&format!("--shard={share}")]), &["--shard"]);
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
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
