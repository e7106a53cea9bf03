//! The tests of the ops that compare devices (`gpus_agree…`, in `src/ops/*/tests.rs`), run on the emulated device: there they see a GPU, whether this
//! machine has one or not.

mod emulator;

use std::process::{Command, Output, Stdio};

use emulator::{Emulator, Order, Sanitizer};

/// The compute capability that has every kernel: Hopper's own beside those for all tensor cores and the plain ones.
const NEWEST: &str = "9.0";
/// Those that have fewer, so that others compute what these do not take: 7.5 the plain ones alone, 8.0 those for all tensor cores, too.
const OLDER: [&str; 2] = ["7.5", "8.0"];

/// The library's test program as cargo builds it for the profile that this test is built for.
fn library_tests() -> String {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.args(["test", "--lib", "--no-run", "--message-format=json", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo starts");
    assert!(output.status.success(), "cargo test --lib --no-run failed");
    let lines = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    lines
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(str::to_owned))
        .next_back()
        .expect("cargo names the library's test program")
}

/// Runs the tests that compare devices, those with `names` in their path, on a device of that compute capability.
fn compare(rig: &Emulator, order: Order, capability: &str, names: &str) -> Output {
    let mut command = rig.command(library_tests(), order);
    let output = command.env("EMULATOR_CAPABILITY", capability).args([names, "--test-threads", "2"]).output().expect("it starts");
    assert!(!String::from_utf8_lossy(&output.stdout).contains(" 0 passed; 0 failed"), "no test was found for {names}");
    output
}

#[track_caller]
fn require_equal(sanitizer: Sanitizer, order: Order, capability: &str) {
    let output = compare(&Emulator::new(sanitizer), order, capability, "gpus_agree");
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{sanitizer:?}, {order:?}, compute capability {capability}:\n{out}{err}");
}

#[test]
fn every_op_equals_the_cpu() {
    [Order::LateAndForward, Order::EagerAndReverse].into_iter().for_each(|order| require_equal(Sanitizer::None, order, NEWEST));
}

#[test]
#[ignore = "takes minutes; CI runs it"]
fn every_op_equals_the_cpu_on_older_devices() {
    OLDER.into_iter().for_each(|capability| require_equal(Sanitizer::None, Order::LateAndForward, capability));
}

#[test]
#[ignore = "takes minutes; CI runs it"]
fn no_op_leaves_its_memory_on_older_devices() {
    OLDER.into_iter().for_each(|capability| require_equal(Sanitizer::AddressAndUndefined, Order::LateAndForward, capability));
}

#[test]
#[ignore = "takes minutes; CI runs it"]
fn no_op_leaves_its_memory() {
    require_equal(Sanitizer::AddressAndUndefined, Order::LateAndForward, NEWEST);
}

#[test]
#[ignore = "takes minutes; CI runs it"]
fn no_threads_of_a_block_race() {
    require_equal(Sanitizer::Thread, Order::LateAndForward, NEWEST);
    // With kernels that do not wait for each other the same run finds it.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let racing =
        compare(&Emulator::new(Sanitizer::Thread).without_barriers(folder.path()), Order::LateAndForward, NEWEST, "softmax::tests::gpus_agree");
    let report = String::from_utf8_lossy(&racing.stderr);
    assert!(!racing.status.success() && report.contains("ThreadSanitizer: data race") && report.contains("reduce.cuh"), "{report}");
}
