//! What a learned file says about itself.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::anomaly::presets::Preset;
use crate::anomaly::templates::Templates;
use crate::error::Result;
use crate::models::spatial_encoder::SpatialEncoderConfig;
use crate::{input_error, invalid_input};

/// The version of the file's layout that this program writes.
pub const FORMAT: u32 = 1;

/// A defect type of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// The object's name.
    pub object: String,
    /// The type's name.
    #[serde(rename = "type")]
    pub defect: String,
}

impl Kind {
    /// A type of an object.
    pub fn new(object: impl Into<String>, defect: impl Into<String>) -> Self {
        Self { object: object.into(), defect: defect.into() }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}+{}", self.object, self.defect)
    }
}

/// The JSON text under `anodiff` in the file's header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// [`FORMAT`].
    pub format: u32,
    /// The program's version.
    pub version: String,
    /// Hash of the base model that the embeddings are for.
    pub base_model: String,
    /// Width of the context.
    pub width: usize,
    /// Side of the images that it was trained on, in pixels.
    pub resolution: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Steps trained so far.
    pub steps: u64,
    /// Every setting.
    pub preset: Preset,
    /// Prompt templates, those of the preset or the user's.
    pub templates: Templates,
    /// The spatial encoder's sizes.
    pub encoder: SpatialEncoderConfig,
    /// The types, in the order of the run.
    pub kinds: Vec<Kind>,
}

impl Metadata {
    /// The key in the file's header.
    pub const KEY: &'static str = "anodiff";

    /// Reads the JSON text; `origin` names the file in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let metadata: Self = parse_versioned(text, origin, FORMAT, ["learned file", "a learned file's"])?;
        let templates = Templates::new(metadata.templates.sentences().to_vec(), origin)?;
        metadata.preset.check()?;
        Ok(Self { templates, ..metadata })
    }
}

/// Metadata with a field `format`, which must be the one that this program writes; `[name, owner]` says in messages what has it.
pub(in crate::anomaly) fn parse_versioned<M: DeserializeOwned>(text: &str, origin: &str, format: u32, [name, owner]: [&str; 2]) -> Result<M> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    match serde_json::from_str::<Version>(text) {
        Ok(found) if found.format != format => {
            invalid_input!("{origin}: {name} of format {}, this version of anodiff reads format {format}", found.format)
        }
        Ok(_) => {}
        Err(error) => invalid_input!("{origin}: the metadata is not {owner}: {error}"),
    }
    serde_json::from_str(text).map_err(|error| input_error!("{origin}: damaged metadata: {error}"))
}
