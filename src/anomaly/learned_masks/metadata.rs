//! What a file of learned masks says about itself.

use serde::{Deserialize, Serialize};

use crate::anomaly::learned::{Kind, parse_versioned};
use crate::anomaly::presets::MaskPreset;
use crate::anomaly::templates::Templates;
use crate::error::Result;

/// The version of the file's layout that this program writes.
pub const FORMAT: u32 = 1;

/// The JSON text under `anodiff-masks` in the file's header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskMetadata {
    /// [`FORMAT`].
    pub format: u32,
    /// The program's version.
    pub version: String,
    /// Hash of the base model that the embeddings are for.
    pub base_model: String,
    /// Width of the context.
    pub width: usize,
    /// Side of the masks that it was trained on, in pixels.
    pub resolution: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Steps trained so far.
    pub steps: u64,
    /// Every setting.
    pub preset: MaskPreset,
    /// Prompt templates.
    pub templates: Templates,
    /// The types, in the order of the run.
    pub kinds: Vec<Kind>,
}

impl MaskMetadata {
    /// The key in the file's header.
    pub const KEY: &'static str = "anodiff-masks";

    /// Reads the JSON text; `origin` names the file in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let metadata: Self = parse_versioned(text, origin, FORMAT, ["learned masks", "that of learned masks"])?;
        let templates = Templates::new(metadata.templates.sentences().to_vec(), origin)?;
        metadata.preset.check()?;
        Ok(Self { templates, ..metadata })
    }
}
