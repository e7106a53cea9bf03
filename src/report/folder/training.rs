//! A run of training: curves, time, what was learned.

use std::fs;

use serde_json::Value;

use super::{Block, Place, Section};
use crate::anomaly::learned::Metadata;
use crate::error::{Context, Result};
use crate::files;
use crate::report::{Table, log_chart};
use crate::training::embeddings::LEARNED;
use crate::training::log::LOG;
use crate::training::progress::duration;
use crate::training::tensorboard;
use crate::weights::Archive;

/// What is plotted where a log has it.
const CURVES: [(&str, &str); 4] =
    [("loss", "Training loss"), ("fixed_noise_loss", "Loss on fixed noise"), ("learning_rate", "Learning rate"), ("gradient_norm", "Gradient norm")];
/// A picture of a look at the run may have this many bytes.
const MOST_PICTURE_BYTES: u64 = 64 << 20;

/// The section of a folder with a log.
pub(super) fn section(place: &Place) -> Result<Option<Section>> {
    if !place.path.join(LOG).is_file() {
        return Ok(None);
    }
    let mut blocks = Vec::new();
    for (name, title) in CURVES {
        blocks.extend(log_chart(&place.path, name, title)?.map(|chart| Block::Svg(title.to_owned(), chart.svg())));
    }
    if let Some((first, last, step)) = tensorboard::span(&place.path) {
        let seconds = (last - first).max(0.0);
        let rows = vec![
            ("steps".to_owned(), step.to_string()),
            ("time from the first entry to the last, breaks included".to_owned(), duration(seconds)),
            ("steps a second".to_owned(), if seconds > 0.0 { format!("{:.2}", step as f64 / seconds) } else { "-".to_owned() }),
        ];
        blocks.push(Block::Table(place.table("timing"), Table::of_pairs("Timing", ["what", "value"], rows)));
    }
    blocks.extend(learned(place)?);
    blocks.extend(last_look(place)?);
    Ok(Some(Section { heading: place.heading("Training"), blocks }))
}

/// The metadata of what was learned.
fn learned(place: &Place) -> Result<Option<Block>> {
    let path = place.path.join(LEARNED);
    if !path.is_file() {
        return Ok(None);
    }
    let origin = path.display().to_string();
    let text = Archive::open(&path)?.metadata().remove(Metadata::KEY).unwrap_or_default();
    let metadata = Metadata::parse(&text, &origin)?;
    let kinds: Vec<String> = metadata.kinds.iter().map(ToString::to_string).collect();
    let mut rows = vec![
        ("program".to_owned(), metadata.version.clone()),
        ("base model".to_owned(), metadata.base_model.clone()),
        ("picture size".to_owned(), format!("{0} x {0}", metadata.resolution)),
        ("steps".to_owned(), metadata.steps.to_string()),
        ("seed".to_owned(), metadata.seed.to_string()),
        ("types".to_owned(), kinds.join(", ")),
    ];
    flatten("", &serde_json::to_value(&metadata.preset).context("the preset as JSON")?, &mut rows);
    Ok(Some(Block::Table(place.table("learned"), Table::of_pairs("What was learned, and the preset in full", ["setting", "value"], rows))))
}

fn flatten(prefix: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                flatten(&if prefix.is_empty() { name.replace('_', " ") } else { format!("{prefix}, {}", name.replace('_', " ")) }, value, rows);
            }
        }
        Value::String(text) => rows.push((prefix.to_owned(), text.clone())),
        other => rows.push((prefix.to_owned(), other.to_string())),
    }
}

/// The last picture of `validation/`.
fn last_look(place: &Place) -> Result<Option<Block>> {
    let Ok(entries) = fs::read_dir(place.path.join("validation")) else { return Ok(None) };
    let pictures = entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "png"));
    let Some(last) = pictures.max() else { return Ok(None) };
    let step = last.file_stem().map(|stem| stem.to_string_lossy().replace('-', " ")).unwrap_or_default();
    let description = format!("Look at the run at {step}; a row a type: training picture, mask, normal picture, generated picture");
    Ok(Some(Block::Picture(files::read_limited(&last, MOST_PICTURE_BYTES)?, description)))
}
