//! What the fuzz targets share. Each calls one of `anodiff::testing::fuzzing` with the fuzzer's bytes.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub use libfuzzer_sys::fuzz_target;

/// A folder of this process for those that read files. Below TMPDIR, which scripts/fuzz sets and removes.
pub fn scratch() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = std::env::temp_dir().join(format!("anodiff-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("TMPDIR can be written");
        folder
    });
    &FOLDER
}

/// A fuzz target.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::fuzz_target!(|bytes: &[u8]| {
            anodiff::testing::fuzzing::target($name)($crate::scratch(), bytes);
        });
    };
}
