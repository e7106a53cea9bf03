//! Results depend neither on the clock nor on the language, time zone, user and place of the machine, say nothing of them, and need no network.

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use program::{World, files, succeed};

/// Builds the library that is preloaded; see there.
fn odd_place(folder: &Path) -> PathBuf {
    let (source, library) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surroundings/odd_place.cpp"), folder.join("odd_place.so"));
    let built = Command::new("g++").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(built.expect("g++ is needed").success());
    library
}

/// Learns, generates and exports; gives all that the commands leave.
fn results(world: &World, surround: impl Fn(&mut Command)) -> BTreeMap<PathBuf, Vec<u8>> {
    let run = |name: &str, arguments: &[&str]| {
        let mut command = world.command_on_data(name, arguments);
        surround(&mut command);
        succeed(command);
    };
    let learn = ["--out", "out/run", "--steps", "3", "--batch-size", "2", "--resolution", "32", "--validate-every", "2"];
    run("train", &learn);
    let pairs = ["--learned", "out/run", "--out", "out/pairs", "--object", "plate", "--type", "dot", "--masks", "procedural"];
    run("generate", &[&pairs[..], &["--count", "3", "--steps", "2"]].concat());
    let mut command = world.command("export", &["--format", "coco", "--generated", "out/pairs", "--out", "out/coco"]);
    surround(&mut command);
    succeed(command);
    files(&world.path("out"))
}

#[test]
fn results_are_the_same_in_an_odd_place_and_do_not_speak_of_it() {
    let (here, there) = (World::new(), World::new());
    let expected = results(&here, |_| {});
    let (library, log) = (odd_place(there.folder.path()), there.path("clock"));
    let found = results(&there, |command| {
        command.env("LD_PRELOAD", &library).env("ODD_PLACE_LOG", &log);
        command.envs([("LANG", "tr_TR.UTF-8"), ("LC_ALL", "de_DE.UTF-8"), ("LC_NUMERIC", "de_DE.UTF-8"), ("TZ", "Pacific/Kiritimati")]);
        command.envs([("USER", "someone-in-particular"), ("HOME", "/home/someone-in-particular")]);
    });
    let readings: u64 = fs::read_to_string(&log).expect("the library was preloaded").trim().parse().unwrap();
    println!("the calendar was read {readings} times by the last command");

    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    assert!(expected.len() > 12, "{:?}", expected.keys());
    let timed = |path: &Path| path.ends_with("log.jsonl") || path.to_string_lossy().contains("tfevents");
    for (path, bytes) in &found {
        assert!(timed(path) || *bytes == expected[path], "{} differs", path.display());
        for word in [there.folder.path().to_str().unwrap(), "someone-in-particular"] {
            assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{} speaks of {word}", path.display());
        }
    }
}

#[test]
fn the_library_ends_who_talks_to_another_machine() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("bash").args(["-c", "exec 3<>/dev/tcp/127.0.0.1/9"]).env("LD_PRELOAD", odd_place(folder.path())).output().unwrap();
    assert_eq!(output.status.signal(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
}
