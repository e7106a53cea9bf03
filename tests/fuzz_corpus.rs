//! What fuzzing has gathered (fuzz/corpus), once through all targets. Findings are kept there, too.

use std::fs;
use std::path::Path;

use anodiff::testing::fuzzing::TARGETS;

#[test]
fn every_target_takes_its_corpus() {
    let scratch = tempfile::tempdir().unwrap();
    for (name, target) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut files: Vec<_> =
            fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{corpus:?}: {error}")).map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut accepted = 0;
        for file in &files {
            let bytes = fs::read(file).unwrap();
            // The name of a file that makes a target panic is on stderr.
            eprintln!("{}", file.display());
            accepted += usize::from(target(scratch.path(), &bytes));
        }
        assert!(accepted > 0, "{name}: none of {} files was accepted", files.len());
    }
}
