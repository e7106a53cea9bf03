//! Every function of the driver fails once, at its first call, in the middle and at its last one: the command says so and ends, or does without; what it has
//! written is whole, and the same command then goes on to the same bytes. On the emulated device.

mod emulator;
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anodiff::testing::miniature;
use emulator::{Emulator, Order, Sanitizer, pooled};
use program::{files, succeed};

/// CUresult: no memory, not supported, and an error that loses the device.
const OUT_OF_MEMORY: u32 = 2;
const NOT_SUPPORTED: u32 = 801;
const ILLEGAL_ADDRESS: u32 = 700;

struct World {
    folder: tempfile::TempDir,
    emulator: Emulator,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        miniature::model(&folder.path().join("model"), 1);
        miniature::data_set(&folder.path().join("data"), 3);
        Self { folder, emulator: Emulator::new(Sanitizer::None) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn anodiff(&self, arguments: &[&str]) -> Command {
        let mut command = self.emulator.command(env!("CARGO_BIN_EXE_anodiff"), Order::LateAndForward);
        pooled(&mut command);
        // Every op is compared by tests of its own.
        command.env("ANODIFF_UNVERIFIED", "1").current_dir(self.folder.path());
        command.args(arguments).args(["--data", "data", "--model", "model", "--device", "cuda", "--threads", "1"]);
        command
    }

    fn train(&self, out: &str) -> Command {
        self.anodiff(
            &[
                &["train", "--out", out, "--steps", "3", "--batch-size", "1", "--resolution", "32", "--checkpoint-every", "1"],
                &["--validate-every", "0"][..],
            ]
            .concat(),
        )
    }

    fn generate(&self, out: &str) -> Command {
        let pair = ["--learned", "learned", "--object", "plate", "--type", "dot", "--count", "3", "--batch-size", "1", "--steps", "6"];
        self.anodiff(&[&["generate", "--out", out][..], &pair].concat())
    }

    /// How often a command calls each function of the driver.
    fn calls(&self, mut command: Command) -> BTreeMap<String, u64> {
        succeed({
            command.env("EMULATOR_CALLS", self.path("calls"));
            command
        });
        let text = fs::read_to_string(self.path("calls")).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap()).map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
    }
}

/// Runs a command to its end, which has to come within a minute; gives how it ended and what stands on stderr.
fn ended(mut command: Command) -> (ExitStatus, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, reader.join().unwrap());
        }
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{command:?} hangs: {}", reader.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The faults of a function that is called so often: a mild one at the first call, the loss of the device in the middle and at the end.
fn faults(function: &str, count: u64) -> Vec<(u64, u32)> {
    let mild = if function.contains("Alloc") { OUT_OF_MEMORY } else { NOT_SUPPORTED };
    let mut faults = vec![(1, mild), (count / 2 + 1, ILLEGAL_ADDRESS), (count, ILLEGAL_ADDRESS)];
    faults.dedup();
    faults
}

#[test]
fn a_call_that_fails_ends_generation_in_a_sentence_and_keeps_what_is_done() {
    let world = World::new();
    succeed(world.train("learned"));
    let calls = world.calls(world.generate("expected"));
    let expected = files(&world.path("expected"));
    assert!(calls.len() > 30 && calls["cuLaunchKernel"] > 100, "{calls:?}");
    let (mut runs, mut refused) = (0, 0);
    for (function, &count) in &calls {
        for (call, result) in faults(function, count) {
            let fault = format!("{function}:{call}:{result}");
            let out = format!("out-{}", fault.replace(':', "-"));
            let mut command = world.generate(&out);
            command.env("EMULATOR_FAULT", &fault);
            let (status, stderr) = ended(command);
            assert!(!stderr.contains("panicked"), "{fault}: {stderr}");
            match status.code() {
                Some(0) => assert_eq!(files(&world.path(&out)), expected, "{fault}"),
                Some(1 | 2) => {
                    refused += 1;
                    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
                    assert!(errors.len() == 1 && errors[0].len() < 600, "{fault}: {stderr}");
                    for (path, bytes) in files(&world.path(&out)) {
                        let whole = path.ends_with("manifest.jsonl") || path.ends_with(".lock") || expected.get(&path) == Some(&bytes);
                        assert!(whole, "{fault}: {path:?} is not as it should be");
                    }
                }
                other => panic!("{fault}: ended with {other:?}: {stderr}"),
            }
            succeed(world.generate(&out));
            assert_eq!(files(&world.path(&out)), expected, "{fault}: after going on");
            fs::remove_dir_all(world.path(&out)).unwrap();
            runs += 1;
        }
    }
    println!("{runs} faults of {} functions, {refused} ended the command", calls.len());
    assert!(refused * 2 > runs, "most faults must be noticed");
}
