//! Signals, closed pipes and the system's limits: a sentence and the documented exit code, and what was interrupted goes on.

use std::fs::{self, OpenOptions};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::program::{World, refused, succeed};
use anodiff::training::run_folder::FolderLock;

impl World {
    fn train(&self, out: &str, arguments: &[&str]) -> Command {
        let fixed = ["--out", out, "--batch-size", "1", "--resolution", "32", "--validate-every", "0"];
        self.command_on_data("train", &[&fixed, arguments].concat())
    }
}

/// Starts the command and sends the signal as soon as `is_due`.
#[track_caller]
fn signalled(mut command: Command, signal: &str, is_due: impl Fn() -> bool) -> Output {
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while !is_due() {
        assert!(child.try_wait().unwrap().is_none() && start.elapsed().as_secs() < 120, "{command:?} ended or hung before {signal}");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    child.wait_with_output().unwrap()
}

#[test]
fn an_interrupted_training_says_so_and_goes_on() {
    const STEPS: [&str; 2] = ["--steps", "60"];
    let world = World::new();
    succeed(world.train("whole", &STEPS));
    let has = |name: &str| fs::metadata(world.path("run").join(name)).is_ok_and(|file| file.len() > 0);
    // While the training pairs are read, and between steps: the log gets its first line after ten.
    for (signal, code, due) in [("-TERM", 143, "config.toml"), ("-INT", 130, "log.jsonl")] {
        let output = signalled(world.train("run", &[&STEPS[..], &["--resume"]].concat()), signal, || has(due));
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{signal}: {message}");
        assert!(message.contains("error: interrupted by signal") && message.contains("--resume"), "{signal}: {message}");
        assert!(!world.path("run/run.lock").exists(), "{signal} left the lock");
        assert!(!world.path("run/learned.safetensors").exists(), "{signal} came too late");
    }
    succeed(world.train("run", &[&STEPS[..], &["--resume"]].concat()));
    for name in ["learned.safetensors", "log.jsonl"] {
        assert_eq!(fs::read(world.path("whole").join(name)).unwrap(), fs::read(world.path("run").join(name)).unwrap(), "{name}");
    }
}

#[test]
fn a_file_larger_than_allowed_is_refused_like_a_full_disk() {
    let world = World::new();
    let train = world.train("run", &["--steps", "2", "--resume"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 16; exec \"$0\" \"$@\""]).arg(train.get_program()).args(train.get_args());
    limited.current_dir(world.folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    refused(limited, &["cannot write", "File too large"]);
    assert!(!world.path("run/learned.safetensors").exists() && !world.path("run/run.lock").exists());
    succeed(world.train("run", &["--steps", "2", "--resume"]));
}

#[test]
fn nobody_has_to_read_what_is_said() {
    fn closed_pipe() -> Stdio {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer.into()
    }
    fn full_disk() -> Stdio {
        OpenOptions::new().write(true).open("/dev/full").unwrap().into()
    }
    let world = World::new();
    let code = |mut command: Command| command.stdout(Stdio::null()).status().unwrap().code();
    for stderr in [closed_pipe, full_disk] {
        let with = |mut command: Command| {
            command.stderr(stderr());
            command
        };
        assert_eq!(code(with(world.train("out", &["--objects", "plait"]))), Some(2));
        assert_eq!(code(with(world.command("train", &["--stepps", "2"]))), Some(2));
        assert_eq!(code(with(world.train("data/out", &[]))), Some(2));
    }
    let mut progress = world.train("run", &["--steps", "2"]);
    progress.stderr(closed_pipe());
    assert_eq!(code(progress), Some(0));
    let mut check = world.command("check", &["--data", "data"]);
    assert_eq!(check.stdout(closed_pipe()).status().unwrap().code(), Some(0));
    assert!(world.path("run/learned.safetensors").is_file());
}

#[test]
fn two_processes_do_not_generate_into_one_demo() {
    let world = World::new();
    let generated = world.path("demo/generated");
    fs::create_dir_all(&generated).unwrap();
    let lock = FolderLock::acquire(&generated).unwrap();
    let demo = || world.command("demo", &["--model", "model", "--out", "demo", "--steps", "1", "--count", "1"]);
    refused(demo(), &["demo/generated", "in use by process"]);
    drop(lock);
    succeed(demo());
}
