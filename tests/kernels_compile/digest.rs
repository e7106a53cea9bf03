//! The build script's name for the sources that decide what a GPU computes, under which a verdict is kept.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

#[path = "../../build/sources.rs"]
mod sources;

/// A repository with two files in each folder that counts, and files that do not count.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for part in sources::PARTS {
        if part.contains('.') {
            write(folder.path(), part, "version = 1");
        } else {
            write(folder.path(), &format!("{part}/a.rs"), "first");
            write(folder.path(), &format!("{part}/b/c.rs"), "second");
        }
    }
    write(folder.path(), "src/cli/mod.rs", "a flag");
    folder
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).and_then(|()| fs::write(path, text)).expect("a writable folder");
}

fn digest(root: &Path) -> String {
    sources::digest(root).expect("readable sources")
}

#[test]
fn the_same_sources_have_the_same_name_wherever_and_whenever_they_are_built() {
    let [first, second] = [repository(), repository()];
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    File::options().write(true).open(second.path().join("src/ops/a.rs")).and_then(|file| file.set_modified(old)).expect("a file's time");
    write(second.path(), "src/cli/mod.rs", "another flag");
    assert_eq!(digest(first.path()), digest(second.path()));
}

#[test]
fn other_sources_have_another_name() {
    let unchanged = digest(repository().path());
    type Change = fn(&Path);
    let changes: [Change; 5] = [
        |root| write(root, "Cargo.toml", "version = 2"),
        |root| write(root, "src/ops/b/c.rs", "Second"),
        |root| write(root, "kernels/new.cu", ""),
        |root| fs::rename(root.join("src/device/a.rs"), root.join("src/device/z.rs")).expect("a file to rename"),
        // The same bytes in the same order, but for the end of a file.
        |root| {
            write(root, "src/ops/a.rs", "firs");
            write(root, "src/ops/b/c.rs", "tsecond");
        },
    ];
    let mut found: Vec<String> = changes
        .iter()
        .map(|change| {
            let folder = repository();
            change(folder.path());
            digest(folder.path())
        })
        .collect();
    found.push(unchanged);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), changes.len() + 1, "{found:?}");
}

#[test]
fn a_missing_part_is_named() {
    let folder = repository();
    fs::remove_dir_all(folder.path().join("src/tensor")).expect("a folder");
    let error = sources::digest(folder.path()).expect_err("nothing to read").to_string();
    assert!(error.starts_with("src/tensor: "), "{error}");
}

/// Every part of this repository is there, and what it names is the build's.
#[test]
fn this_repository_has_a_name() {
    let name = digest(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(name, env!("SOURCES_DIGEST"));
}
