//! Which files of a folder hold a model's weights: one file, shards behind an index, or a variant such as `.fp16.`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::error::Result;
use crate::invalid_input;
use crate::weights::archive::Archive;
use crate::weights::folder::Folder;
use crate::weights::header::shown;

const LARGEST_INDEX: u64 = 32 << 20;

/// Opens `<stem>.safetensors`, or its index, or a variant of either: full precision first.
pub(super) fn open_stem(folder: &Folder, stem: &str) -> Result<Archive> {
    let names = folder.file_names();
    let plain = format!("{stem}.safetensors");
    // Diffusers writes `<stem>.safetensors.index.fp16.json`, transformers `<stem>.safetensors.index.fp16.json` or `<stem>.fp16.safetensors.index.json`.
    let is_index = |name: &&String| name.starts_with(&format!("{stem}.")) && name.contains(".safetensors.index.") && name.ends_with(".json");
    let is_variant = |name: &&String| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".safetensors"));
    if names.contains(&plain) {
        return Archive::from_files(folder, &[plain]);
    }
    let mut indexes: Vec<&String> = names.iter().filter(is_index).collect();
    indexes.sort_by_key(|name| (name.len(), preference(name)));
    if let Some(index) = indexes.first() {
        return open_index(folder, index);
    }
    if let Some(variant) = names.iter().filter(is_variant).min_by_key(|name| preference(name)) {
        return Archive::from_files(folder, std::slice::from_ref(variant));
    }
    let pickle = names.iter().find(|name| [".bin", ".ckpt", ".pt", ".pth"].iter().any(|ending| name.ends_with(ending)));
    match pickle {
        Some(pickle) => invalid_input!(
            "{folder} has its weights in {pickle}, which can run code when loaded and is not read; convert it to {plain} (diffusers: save_pretrained)"
        ),
        None => invalid_input!("{folder} has no weights: expected {plain}, {plain}.index.json or a variant such as {stem}.fp16.safetensors"),
    }
}

/// Weights meant for use before those for further training; then by name.
fn preference(name: &str) -> (bool, &str) {
    (name.contains("non_ema"), name)
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens all files that an index names, and checks that each tensor is where it says.
pub(super) fn open_index(folder: &Folder, name: &str) -> Result<Archive> {
    let label = folder.show(name);
    let index: Index = match serde_json::from_slice(&folder.read(name, LARGEST_INDEX)?) {
        Ok(index) => index,
        Err(error) => invalid_input!("{label} is not an index of safetensors files: {error}"),
    };
    let files: BTreeSet<&String> = index.weight_map.values().collect();
    for file in &files {
        // A name with a path in it could read anything.
        if file.contains(['/', '\\']) || file.starts_with('.') || !file.ends_with(".safetensors") {
            invalid_input!("{label} names the file {}, expected a .safetensors file beside it", shown(file));
        }
        if !folder.has(file) {
            invalid_input!("{label} names the file {}, which is not there; fetch all shards", shown(file));
        }
    }
    if files.is_empty() {
        invalid_input!("{label} names no file");
    }
    let archive = Archive::from_files(folder, &files.into_iter().cloned().collect::<Vec<_>>())?;
    if let Some(absent) = index.weight_map.keys().find(|tensor| !archive.contains(tensor)) {
        invalid_input!("{label} promises tensor {}, which none of its files has", shown(absent));
    }
    Ok(archive)
}
