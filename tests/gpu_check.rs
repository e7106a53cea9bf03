//! `scripts/gpu-check`, which a GPU is checked with: it asks the program for what the program offers, ends in time, and keeps what it has found by then.
//! GPU and tools are stand-ins.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Its steps but for those of the sanitizer and of PyTorch.
const STEPS: [&str; 17] = [
    "machine",
    "program",
    "wrappers",
    "verify",
    "embedded",
    "tune-512-8",
    "networks-512-8",
    "generation-512-8",
    "demo",
    "pictures",
    "networks-512-1",
    "networks-256-8",
    "generation-256-8",
    "profile-512-8",
    "ops",
    "networks-512-32",
    "networks-256-32",
];

/// Its steps that need PyTorch.
const PYTORCH: [&str; 4] = ["pytorch-ops", "pytorch-512-8", "pytorch-generation-512-8", "start-up"];

/// Its steps under the sanitizer.
const SANITIZER: [&str; 5] = ["memcheck", "racecheck", "synccheck", "initcheck", "memcheck-demo"];

/// A folder with the script and all that it calls.
struct Bare(tempfile::TempDir);

impl Bare {
    /// `program` is what stands for the packed program.
    fn new(program: &str) -> Self {
        let bare = Self(tempfile::tempdir().unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/gpu-check");
        bare.write("scripts/gpu-check", &fs::read_to_string(script).unwrap());
        bare.write("tests/emulator/check/on-gpu", "#!/bin/sh\necho right\n");
        bare.write("bin/nvidia-smi", "#!/bin/sh\necho NVIDIA Stand-in\n");
        bare.write("bin/compute-sanitizer", "#!/bin/sh\nshift 4\nexec \"$@\"\n");
        bare.write("bin/python3", "#!/bin/sh\nexit 0\n");
        bare.write("target/gpu-check/library-tests", "#!/bin/sh\n[ \"$1\" = gpus_agree ]\n");
        bare.write("target/gpu-check/anodiff", program);
        let packed = ["anodiff", "library-tests"].map(|name| bare.0.path().join("target/gpu-check").join(name));
        assert!(Command::new("gzip").args(packed).status().unwrap().success());
        bare
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The script's end and its summary.
    fn check(&self, seconds: u64) -> (Output, String) {
        let path = format!("{}:{}", self.0.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(self.0.path().join("scripts/gpu-check"));
        let output = command.args(["--out", "found"]).env("PATH", path).env("GPU_CHECK_SECONDS", seconds.to_string()).output().unwrap();
        let summary = fs::read_to_string(self.0.path().join("found/summary.txt")).unwrap();
        (output, summary)
    }
}

/// Answers as the program does, without doing anything: the real one only reads the arguments.
fn reader(before: &str) -> String {
    let data = "for last; do [ \"$previous\" = --out ] && mkdir -p \"$last/data/plate/ground_truth/dot\"; previous=$last; done";
    format!("#!/bin/bash\n{before}\n{data}\nexec {} \"$@\" --help\n", env!("CARGO_BIN_EXE_anodiff"))
}

#[test]
fn every_step_asks_for_what_there_is() {
    let bare = Bare::new(&reader(""));
    let (output, summary) = bare.check(600);
    for step in STEPS.into_iter().chain(PYTORCH).chain(SANITIZER) {
        assert!(summary.contains(&format!("{step}: right")), "{step} in:\n{summary}{}", String::from_utf8_lossy(&output.stderr));
        assert!(bare.0.path().join("found").join(format!("{step}.txt")).is_file(), "{step} has left nothing");
    }
    assert!(output.status.success() && summary.lines().count() == STEPS.len() + PYTORCH.len() + SANITIZER.len(), "{summary}");
}

#[test]
fn what_fails_is_named_and_what_comes_later_runs() {
    let bare = Bare::new(&reader("case \"$*\" in kernels\\ verify\\ --json*|bench\\ --device*) echo half; exit 1;; esac"));
    bare.write("bin/python3", "#!/bin/sh\necho no torch >&2; exit 1\n");
    let (output, summary) = bare.check(600);
    for line in ["verify: WRONG (exit code 1)", "with ANODIFF_UNVERIFIED=1", "networks-256-32: right"] {
        assert!(summary.contains(line), "{line} in:\n{summary}");
    }
    for step in PYTORCH {
        assert!(summary.contains(&format!("{step}: NOT RUN, no torch")), "{step} in:\n{summary}");
    }
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(bare.0.path().join("found/verify.txt")).unwrap(), "half\n");
}

#[test]
fn it_ends_in_time_with_what_it_has_found() {
    let bare = Bare::new(&reader("[ \"$1 $2\" = 'kernels verify' ] && { echo half; exec sleep 60; }"));
    let begun = std::time::Instant::now();
    let (output, summary) = bare.check(12);
    assert!(begun.elapsed().as_secs() < 25, "{:?}", begun.elapsed());
    assert!(summary.contains("program: right") && summary.contains("verify: NOT FINISHED in"), "{summary}");
    assert!(summary.contains("ops: NOT RUN, the time is up") && !output.status.success(), "{summary}");
    assert_eq!(fs::read_to_string(bare.0.path().join("found/verify.txt")).unwrap(), "half\n");
}
