//! The tests of the ops that compare devices (`gpus_agree…`, in `src/ops/*/tests.rs`), run on the emulated device: there they see a GPU, whether this
//! machine has one or not.

mod emulator;

use std::process::{Command, Stdio};

use emulator::{Emulator, Order, Sanitizer};

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

#[test]
fn every_op_equals_the_cpu() {
    let program = library_tests();
    for order in [Order::LateAndForward, Order::EagerAndReverse] {
        let output = Emulator::new(Sanitizer::None).command(&program, order).args(["gpus_agree", "--test-threads", "2"]).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "in the order {order:?}:\n{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains(" 0 passed"), "no test was found:\n{text}");
    }
}
