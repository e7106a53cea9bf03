//! Settings and digests of what a folder holds.

use sha2::{Digest, Sha256};

use super::{Block, Place, Section};
use crate::digest::hexadecimal;
use crate::error::{Context, Result};
use crate::report::Table;
use crate::training::embeddings::LEARNED;
use crate::training::log::LOG;
use crate::training::run_folder::CONFIG;
use crate::{files, input_error};

/// Files that results depend on or consist of.
const FILES: [&str; 8] = [CONFIG, LEARNED, LOG, "manifest.jsonl", "results.json", "quality.json", "ablation.json", "localizer.safetensors"];
/// A settings file may have this many bytes.
const MOST_CONFIG_BYTES: u64 = 1 << 20;

/// Settings from config.toml, and SHA-256 of the known files.
pub(super) fn section(place: &Place) -> Result<Option<Section>> {
    let mut blocks = Vec::new();
    let config = place.path.join(CONFIG);
    if config.is_file() {
        let text = String::from_utf8(files::read_limited(&config, MOST_CONFIG_BYTES)?).with_context(|| config.display().to_string())?;
        let value: toml::Value = toml::from_str(&text).map_err(|error| input_error!("{}: {}", config.display(), error.message()))?;
        let mut rows = Vec::new();
        flatten("", &value, &mut rows);
        blocks.push(Block::Table(place.table("settings"), Table::of_pairs("Settings", ["setting", "value"], rows)));
    }
    let mut lines = vec![["file", "bytes", "SHA-256"].map(str::to_owned).to_vec()];
    for name in FILES {
        let path = place.path.join(name);
        if path.is_file() {
            let (mut file, length) = files::open_regular(&path)?;
            lines.push(vec![name.to_owned(), length.to_string(), digest(&mut file).with_context(|| path.display().to_string())?]);
        }
    }
    if lines.len() > 1 {
        blocks.push(Block::Table(place.table("files"), Table::of_lines("Files", lines)));
    }
    Ok((!blocks.is_empty()).then(|| Section { heading: place.heading("Settings and files"), blocks }))
}

fn digest(reader: &mut impl std::io::Read) -> Result<String> {
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let count = reader.read(&mut chunk)?;
        if count == 0 {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(&chunk[..count]);
    }
}

/// Dotted names and values. Of an absolute path only the last part is shown: reports are passed on.
fn flatten(prefix: &str, value: &toml::Value, rows: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(entries) => {
            for (name, value) in entries {
                flatten(&if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") }, value, rows);
            }
        }
        toml::Value::String(text) => {
            let path = std::path::Path::new(text);
            let last = path.is_absolute().then(|| path.file_name()).flatten();
            rows.push((prefix.to_owned(), last.map_or_else(|| text.clone(), |name| format!("…/{}", name.to_string_lossy()))));
        }
        other => rows.push((prefix.to_owned(), other.to_string())),
    }
}
