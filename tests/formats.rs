//! Files that earlier versions left are still read: `fixtures/formats/<version>` holds what they wrote on the miniature model. Of learned files only the header is
//! kept, since the numbers mean nothing here: zeros stand in for them. A version whose files differ gets a folder of its own, and none is ever taken away:
//! `ANODIFF_NEW_FORMATS=1 cargo test --release --test formats` writes that of the version under test.

mod program;

use std::fs;
use std::path::{Path, PathBuf};

use program::{World, succeed};

/// What is kept of a version: learned embeddings, learned masks, the list of pairs.
const KEPT: [(&str, &str); 3] =
    [("learned.json", "run/learned.safetensors"), ("masks.json", "run/masks/masks.safetensors"), ("manifest.jsonl", "pairs/manifest.jsonl")];

fn formats() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats")
}

/// The header of a safetensors file, or all of another.
fn head(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        return bytes;
    }
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8..8 + length].trim_ascii_end().to_vec()
}

/// The safetensors file of a header, its tensors zero.
fn with_zeros(header: &[u8]) -> Vec<u8> {
    let tensors: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).unwrap();
    let ends = tensors.iter().filter(|(name, _)| *name != "__metadata__").map(|(_, tensor)| tensor["data_offsets"][1].as_u64().unwrap());
    let end = ends.max().unwrap() as usize;
    let mut header = header.to_vec();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &vec![0; end]].concat()
}

#[test]
fn files_of_every_version_are_read() {
    let world = World::new();
    let pairs = |learned: &str, out: &str, masks: &str| {
        let names = ["--learned", learned, "--out", out, "--object", "plate", "--type", "dot", "--masks", masks];
        world.command_on_data("generate", &[&names[..], &["--count", "3", "--steps", "2"]].concat())
    };
    let learn = ["--out", "run", "--steps", "2", "--batch-size", "2", "--resolution", "32", "--validate-every", "0"];
    succeed(world.command_on_data("train", &learn));
    succeed(world.command_on_data("train-masks", &[&learn[..2], &["--steps", "2", "--batch-size", "2", "--validate-every", "0"]].concat()));
    succeed(pairs("run", "pairs", "real"));
    if std::env::var_os("ANODIFF_NEW_FORMATS").is_some() {
        let folder = formats().join(env!("CARGO_PKG_VERSION"));
        fs::create_dir_all(&folder).unwrap();
        KEPT.iter().for_each(|(kept, made)| fs::write(folder.join(kept), head(&world.path(made))).unwrap());
    }

    let versions: Vec<PathBuf> = fs::read_dir(formats()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!versions.is_empty());
    for version in versions {
        for (kept, made) in KEPT {
            let bytes = fs::read(version.join(kept)).unwrap();
            fs::write(world.path(made), if made.ends_with("safetensors") { with_zeros(&bytes) } else { bytes }).unwrap();
        }
        let out = version.file_name().unwrap().to_str().unwrap();
        succeed(pairs("run", out, "real"));
        let embeddings = format!("{out}-embeddings");
        let exported = succeed(world.command("export", &["--format", "emb-params", "--learned", "run", "--model", "model", "--out", &embeddings]));
        assert_eq!(String::from_utf8_lossy(&exported.stdout).lines().count(), 4, "two types, as they look and as their masks do");
        succeed(world.command_on_data("filter", &["--generated", "pairs"]));
    }
}
