//! The rules of the house (README, "Layout"): layers use only those before them, `unsafe` stays where it has a reason, files stay readable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The layers in order: each uses only those to its left. `files` is atomic file writing; `testing` is for tests and may use anything.
const LAYERS: [&str; 20] = [
    "error",
    "files",
    "digest",
    "process",
    "device",
    "tensor",
    "autograd",
    "ops",
    "nn",
    "weights",
    "models",
    "diffusion",
    "data",
    "anomaly",
    "training",
    "evaluation",
    "report",
    "profiling",
    "cli",
    "testing",
];

/// Where `unsafe` may stand, relative to `src/`: the CPU's matrix kernel and its vector lanes, and the calls of NVIDIA's libraries.
const UNSAFE_ALLOWED: [&str; 3] = ["device/cpu/gemm/", "device/cpu/lanes.rs", "device/cuda/"];

/// Lines that a source file may have.
const MOST_LINES: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file, as (path relative to `src/`, text).
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    assert!(found.len() > 50, "only {} source files found: is this the repository?", found.len());
    let relative = |path: &Path| path.strip_prefix(root()).expect("a source file").to_string_lossy().replace('\\', "/");
    found.iter().map(|path| (relative(path), fs::read_to_string(path).expect("source files are UTF-8"))).collect()
}

/// The text without comments and without the unit tests at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[test]
fn layers_use_only_those_before_them() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let layer = name.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        if name.ends_with("/tests.rs") || name.contains("/tests/") || ["lib", "main"].contains(&layer) {
            continue;
        }
        let own = LAYERS.iter().position(|known| *known == layer).unwrap_or_else(|| panic!("{name}: {layer} is not in the order of layers"));
        for used in code(&text).split("crate::").skip(1).map(|rest| rest.split(|c| !is_word(c)).next().unwrap_or_default()) {
            if LAYERS.iter().position(|known| *known == used).is_some_and(|position| position > own) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "a layer uses one that comes after it:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_stays_where_it_has_a_reason() {
    for (name, text) in sources() {
        let found = code(&text).split(|c| !is_word(c)).any(|word| word == "unsafe");
        assert!(!found || UNSAFE_ALLOWED.iter().any(|allowed| name.starts_with(allowed)), "{name} contains unsafe code");
    }
}

#[test]
fn files_stay_readable() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(name, lines)| format!("{name}: {lines}"))
        .collect();
    assert!(long.is_empty(), "at most {MOST_LINES} lines are allowed:\n{}", long.join("\n"));
}

#[test]
fn nothing_is_left_unwritten() {
    for (name, text) in sources() {
        for mark in ["todo!(", "unimplemented!(", "dbg!("] {
            assert!(!code(&text).contains(mark), "{name} contains {mark})");
        }
    }
}

/// They panic where stdout or stderr is closed; `cli::output` and `process::write_stderr` do not.
#[test]
fn output_survives_closed_pipes() {
    for (name, text) in sources().into_iter().filter(|(name, _)| !name.ends_with("/tests.rs") && !name.contains("/tests/")) {
        let code = code(&text);
        let found = code.split(|c| !is_word(c) && c != '!').find(|word| ["println!", "eprintln!", "print!", "eprint!"].contains(word));
        assert!(found.is_none(), "{name} contains {}", found.unwrap_or_default());
    }
}

/// Who uses the program owes nobody more than a notice; and what it is built from is what crates.io has under that name.
#[test]
fn dependencies_are_permissively_licensed_and_from_one_registry() {
    const PERMISSIVE: [&str; 6] = ["MIT", "Apache-2.0", "Zlib", "ISC", "NCSA", "Unicode-3.0"];
    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let arguments = ["metadata", "--format-version", "1", "--locked", "--all-features", "--manifest-path", manifest];
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
        assert!(output.status.success(), "{manifest}: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let packages = metadata["packages"].as_array().expect("packages");
        assert!(packages.len() > 50, "{manifest}: only {} packages", packages.len());
        for package in packages.iter().filter(|package| !package["source"].is_null()) {
            let (name, source) = (&package["name"], package["source"].as_str().unwrap_or_default());
            assert_eq!(source, REGISTRY, "{manifest}: {name}");
            let license = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
            // All of what stands between ANDs; one of what stands between ORs.
            let allowed =
                license.split(" AND ").all(|part| part.trim_matches(['(', ')']).split(" OR ").any(|choice| PERMISSIVE.contains(&choice.trim())));
            assert!(allowed, "{manifest}: {name} is under {license:?}, expected one of {}", PERMISSIVE.join(", "));
        }
    }
}

#[test]
fn every_variable_of_the_environment_is_in_the_help() {
    let help = fs::read_to_string(root().join("cli/mod.rs")).expect("src/cli/mod.rs");
    let mut seen = 0;
    for (name, text) in sources().into_iter().filter(|(name, _)| !name.ends_with("/tests.rs") && !name.contains("/tests/")) {
        for variable in code(&text).split("\"ANODIFF_").skip(1).map(|rest| format!("ANODIFF_{}", rest.split('"').next().unwrap_or_default())) {
            assert!(help.contains(&format!("    {variable}=")), "{name} reads {variable}, which `anodiff --help` does not name");
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} variables found");
}

#[test]
fn every_op_has_tests() {
    for entry in fs::read_dir(root().join("ops")).expect("src/ops") {
        let path = entry.expect("an entry").path();
        assert!(!path.is_dir() || path.join("tests.rs").is_file(), "{} has no tests.rs", path.display());
    }
}
