//! Runs of the program that tests share: what has to succeed, what has to be refused, what is stopped on the way.

#![allow(dead_code)] // each test binary uses its part

use std::process::{Command, Output};
use std::time::Duration;

/// Runs a command that has to end with exit code 0.
#[track_caller]
pub fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Exit code 2, one sentence on stderr with all of `parts`, no panic.
#[track_caller]
pub fn refused(mut command: Command, parts: &[&str]) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    for part in parts {
        assert!(text.contains(part), "{command:?}: expected {part:?} in {text}");
    }
}

/// Sends SIGKILL or SIGTERM after a while; what the command had done by then is of no concern.
pub fn interrupt(mut command: Command, after: Duration, signal: &str) {
    let mut child = command.spawn().unwrap();
    std::thread::sleep(after);
    let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
    child.wait().unwrap();
}
