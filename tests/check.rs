//! `anodiff check` as a user sees it.

use std::path::Path;
use std::process::{Command, Output};

use anodiff::data::demo::{Plan, write};

fn check(root: &Path, further: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anodiff")).args(["check", "--data"]).arg(root).args(further).output().unwrap()
}

fn demo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &Plan { size: 32, normals: 2, test_normals: 1, pairs: 4, seed: 0 }, || ()).unwrap();
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_good_data_set_is_listed() {
    let folder = demo();
    let output = check(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for expected in ["capsule", "  hole", "32x32", "3 objects, 6 types, 24 usable pairs, 0 files", "warning: washer/rust: only 1 of 4 pairs"] {
        assert!(table.contains(expected), "{expected:?} in\n{table}");
    }
    let output = check(folder.path(), &["--json", "--preset", "official"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["objects"][2]["types"][1]["name"], "rust");
    assert_eq!(report["objects"][2]["types"][1]["leaked"], 1);
    assert_eq!(report["usable_types"], 6);
}

#[test]
fn odd_files_are_named_and_the_rest_counts() {
    let folder = demo();
    let object = folder.path().join("capsule");
    std::fs::remove_file(object.join("ground_truth/ink/002_mask.png")).unwrap();
    std::fs::write(object.join("test/hole/001.png"), "no picture").unwrap();
    std::fs::copy(object.join("train/good/000.png"), object.join("ground_truth/hole/spare_mask.png")).unwrap();
    let output = check(folder.path(), &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut problems: Vec<(&str, &str)> =
        report["issues"].as_array().unwrap().iter().map(|issue| (issue["path"].as_str().unwrap(), issue["problem"].as_str().unwrap())).collect();
    problems.sort();
    assert_eq!(
        problems,
        [
            ("capsule/ground_truth/hole/spare_mask.png", "no-image"),
            ("capsule/test/hole/001.png", "unreadable"),
            ("capsule/test/ink/002.png", "no-mask")
        ]
    );
}

#[test]
fn nothing_usable_ends_with_2_and_one_sentence() {
    let empty = tempfile::tempdir().unwrap();
    for (root, expected) in [(empty.path().to_path_buf(), "no object found"), (empty.path().join("absent"), "cannot read the data set")] {
        let output = check(&root, &[]);
        assert_eq!(output.status.code(), Some(2));
        let message = text(&output.stderr);
        assert!(message.contains(expected) && message.lines().count() == 1, "{message}");
    }
    let only_normals = demo();
    for object in ["capsule", "leather", "washer"] {
        std::fs::remove_dir_all(only_normals.path().join(object).join("ground_truth")).unwrap();
    }
    let output = check(only_normals.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("no mask with its stem"));
    assert!(text(&output.stderr).contains("nothing in"), "{}", text(&output.stderr));
}
