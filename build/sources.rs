//! A name for what decides which kernels are launched, how, and what is asked of them before a GPU's first use. Shared by the build script and by
//! `tests/kernels_compile`, which tests it.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The kernels, the code that launches them, the cases that they are compared in, and the versions of the program and of the driver's interface. The layers
/// behind these (`tests/house.rs` has their order) only call them.
pub const PARTS: [&str; 7] = ["Cargo.toml", "kernels", "src/autograd", "src/device", "src/ops", "src/profiling/verification", "src/tensor"];

/// 16 digits over the names and contents of all files in [`PARTS`], the same wherever and whenever the repository was checked out. FNV-1a (Fowler, Noll and Vo)
/// of 64 bits, for which the build script needs no package.
///
/// # Errors
/// When a part is missing or cannot be read.
pub fn digest(root: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for part in PARTS {
        collect(&root.join(part), &mut files).map_err(|error| io::Error::new(error.kind(), format!("{part}: {error}")))?;
    }
    let mut named = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
        named.push((name, fs::read(&file)?));
    }
    named.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for (name, content) in &named {
        for part in [name.as_bytes(), content] {
            // The length stands in front, so that nothing moves from one file to the next unseen.
            hash = part.len().to_le_bytes().iter().chain(part).fold(hash, |hash, byte| add(hash, *byte));
        }
    }
    Ok(format!("{hash:016x}"))
}

fn add(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// A file, or every file in a folder.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        return path.metadata().map(|_| files.push(path.to_owned()));
    }
    for entry in fs::read_dir(path)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}
