//! Functions of the driver fail, at their first call or at a later one: the command says so and ends, or does without; what it has
//! written is whole, and the same command then goes on to the same bytes. On the emulated device.

mod emulator;
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use emulator::{Emulator, Order, Sanitizer, pooled};
use program::{files, succeed};
use rayon::prelude::*;

/// CUresult: no memory, not supported, and an error that loses the device.
const OUT_OF_MEMORY: u32 = 2;
const NOT_SUPPORTED: u32 = 801;
const ILLEGAL_ADDRESS: u32 = 700;

struct World {
    place: program::World,
    emulator: Emulator,
}

impl World {
    fn new() -> Self {
        Self { place: program::World::of_pairs(3), emulator: Emulator::new(Sanitizer::None) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    fn anodiff(&self, arguments: &[&str]) -> Command {
        let mut command = self.emulator.command(env!("CARGO_BIN_EXE_anodiff"), Order::LateAndForward);
        pooled(&mut command);
        // Every op is compared by tests of its own.
        command.env("ANODIFF_UNVERIFIED", "1").current_dir(self.place.folder.path());
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
        let pair = ["--learned", "learned", "--object", "plate", "--type", "dot", "--count", "2", "--batch-size", "1", "--steps", "4"];
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

/// A call that fails, as the driver wants it told: a mild error at the first one, the loss of the device at another.
fn fault(function: &str, call: u64) -> String {
    let mild = if function.contains("Alloc") { OUT_OF_MEMORY } else { NOT_SUPPORTED };
    format!("{function}:{call}:{}", if call == 1 { mild } else { ILLEGAL_ADDRESS })
}

/// Generates pairs with a call that fails; says whether that ended the command.
fn survives(world: &World, fault: &str, expected: &BTreeMap<PathBuf, Vec<u8>>) -> bool {
    let out = format!("out-{}", fault.replace(':', "-"));
    let mut command = world.generate(&out);
    command.env("EMULATOR_FAULT", fault);
    let (status, stderr) = ended(command);
    assert!(!stderr.contains("panicked"), "{fault}: {stderr}");
    let left = files(&world.path(&out));
    match status.code() {
        Some(0) => assert_eq!(&left, expected, "{fault}"),
        Some(1 | 2) => {
            let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
            assert!(errors.len() == 1 && errors[0].len() < 600, "{fault}: {stderr}");
            for (path, bytes) in &left {
                let whole = path.ends_with("manifest.jsonl") || path.ends_with(".lock") || expected.get(path) == Some(bytes);
                assert!(whole, "{fault}: {path:?} is not as it should be");
            }
        }
        other => panic!("{fault}: ended with {other:?}: {stderr}"),
    }
    // Where nothing was written there is nothing to go on from.
    if !left.is_empty() {
        succeed(world.generate(&out));
        assert_eq!(&files(&world.path(&out)), expected, "{fault}: after going on");
        fs::remove_dir_all(world.path(&out)).unwrap();
    }
    !status.success()
}

/// A trained world, what generation leaves there, and how often it calls each function of the driver.
fn prepared() -> (World, BTreeMap<PathBuf, Vec<u8>>, BTreeMap<String, u64>) {
    let world = World::new();
    succeed(world.train("learned"));
    let calls = world.calls(world.generate("expected"));
    assert!(calls.len() > 30 && calls["cuLaunchKernel"] > 100, "{calls:?}");
    let expected = files(&world.path("expected"));
    (world, expected, calls)
}

#[test]
fn losing_the_device_ends_generation_in_a_sentence_and_keeps_what_is_done() {
    let (world, expected, calls) = prepared();
    for function in ["cuMemAllocAsync", "cuGraphLaunch"] {
        let last = *calls.get(function).unwrap_or_else(|| panic!("{function} is not called: {calls:?}"));
        assert!(survives(&world, &fault(function, last), &expected), "{function}: nobody noticed");
    }
}

#[test]
#[ignore = "minutes: every function, twice; .ci/run runs it"]
fn a_failing_call_of_any_function_ends_generation_in_a_sentence_and_keeps_what_is_done() {
    let (world, expected, calls) = prepared();
    let of_function = |(function, &count): (&String, &u64)| {
        let places = BTreeSet::from([1, count * 2 / 3 + 1]);
        places.into_iter().map(|call| fault(function, call)).collect::<Vec<_>>()
    };
    let faults: Vec<String> = calls.iter().flat_map(of_function).collect();
    let ended = faults.par_iter().filter(|fault| survives(&world, fault, &expected)).count();
    println!("{} faults of {} functions, {ended} ended the command", faults.len(), calls.len());
    assert!(ended * 2 > faults.len(), "most faults must be noticed");
}
