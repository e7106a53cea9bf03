//! What the program holds inside itself: the files of the embedded base model (everything under `weights/tiny/`, if it is there) and the CUDA kernels
//! (`kernels/*.cu`), which are compiled where they run. And the name of the sources that decide what a GPU computes, `SOURCES_DIGEST`.

#[path = "build/kernels.rs"]
mod kernels;
#[path = "build/sources.rs"]
mod sources;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    for watched in ["build.rs", "build", "weights"].iter().chain(&sources::PARTS) {
        println!("cargo::rerun-if-changed={watched}");
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let output = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    println!("cargo::rustc-env=SOURCES_DIGEST={}", sources::digest(&root)?);
    embed_model(&root.join("weights/tiny"), &output)?;
    embed_kernels(&root, &output)
}

/// Each kernel's text as a file of its own, and the list of them as `kernels.rs`.
fn embed_kernels(root: &Path, output: &Path) -> io::Result<()> {
    let kernels = match kernels::read(root) {
        Ok(kernels) => kernels,
        Err(error) => {
            println!("cargo::error={error}");
            return Ok(());
        }
    };
    let text_of = |kernel: &kernels::Kernel| output.join(format!("{}.cu", kernel.name));
    for kernel in &kernels {
        fs::write(text_of(kernel), &kernel.text)?;
    }
    fs::write(output.join("kernels.rs"), kernels::expression(&kernels, |kernel| text_of(kernel).display().to_string()))
}

fn embed_model(root: &Path, output: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    if root.is_dir() {
        collect(root, &mut files)?;
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(root).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
        writeln!(list, "    ({name:?}, include_bytes!({:?})),", file.display().to_string()).map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    fs::write(output.join("embedded.rs"), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| ["json", "txt", "safetensors"].iter().any(|kept| extension == *kept)) {
            files.push(path);
        }
    }
    Ok(())
}
