//! What a run of `train-masks` learns: an embedding e_m for every type (paper Eq. 9), in memory and as one safetensors file beside the learned file.

mod drawing;
mod examples;
mod inversion;
mod metadata;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use crate::anomaly::conditioning::{embedding_scale, word_rows};
use crate::anomaly::learned::{Kind, position_of};
use crate::anomaly::presets::{MaskPreset, MaskStart};
use crate::anomaly::templates::Templates;
use crate::error::{Context, Result};
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::nn::{Init, Parameter, ParameterSet, ParameterSource, Path, Placement, RandomInit};
use crate::tensor::Tensor;
use crate::weights::{self, Archive};

pub use drawing::{MaskPainter, Rough};
pub use examples::{MaskExample, MaskExamples};
pub(in crate::anomaly) use examples::{Reach, training_masks, varied_mask};
pub use inversion::MaskInversion;
pub use metadata::{FORMAT, MaskMetadata};

/// The name of the file in the folder of a run.
pub const LEARNED_MASKS: &str = "masks.safetensors";

/// The embeddings with their metadata.
#[derive(Clone, Debug)]
pub struct LearnedMasks {
    /// What the file says about itself.
    pub metadata: MaskMetadata,
    /// e_m, `[k', width]`, in the order of the metadata's kinds.
    embeddings: Vec<Parameter>,
    parameters: ParameterSet,
}

impl LearnedMasks {
    /// Fresh embeddings for `kinds`.
    pub fn create(base: &BaseModel, preset: MaskPreset, kinds: Vec<Kind>, resolution: usize, seed: u64) -> Result<Self> {
        let width = base.text_encoder.token_embedding().weight().value().dim(1);
        let deviation = match preset.start {
            MaskStart::Random => embedding_scale(&base.text_encoder)?,
            MaskStart::Word(_) => 0.0,
        };
        let templates = Templates::built_in(preset.templates);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let base_model = base.hash.clone();
        let metadata = MaskMetadata { format: FORMAT, version, base_model, width, resolution, seed, steps: 0, preset, templates, kinds };
        let masks = Self::build(metadata, &RandomInit { seed }, Init::Normal(deviation))?;
        if let MaskStart::Word(word) = &masks.metadata.preset.start {
            let rows = word_rows(&base.text_encoder, &base.tokenizer, word, masks.metadata.preset.tokens)?;
            masks.embeddings.iter().try_for_each(|embedding| embedding.set(rows.clone()))?;
        }
        masks.parameters.place(Placement::f32(base.unet.placement().device))?;
        Ok(masks)
    }

    /// Reads a file onto the base model's device, and checks that it is for this base model.
    ///
    /// # Errors
    /// When the file is missing or damaged, not one of `train-masks`, of another format, or of another base model (exit code 2).
    pub fn load(path: &FilePath, base: &BaseModel) -> Result<Self> {
        let archive = Archive::open(path).context("learned masks are made by `anodiff train-masks`")?;
        let archive = archive.with_placement(Placement::f32(base.unet.placement().device));
        let origin = path.display().to_string();
        let Some(text) = archive.metadata().remove(MaskMetadata::KEY) else {
            invalid_input!("{origin}: no learned masks: no entry `{}` in its header; expected a file of `anodiff train-masks`", MaskMetadata::KEY)
        };
        let metadata = MaskMetadata::parse(&text, &origin)?;
        if metadata.base_model != base.hash {
            invalid_input!(
                "{origin}: learned on the base model {}, but the one in use is {}; give --model the folder that it was trained with",
                metadata.base_model,
                base.hash
            );
        }
        let masks = Self::build(metadata, &archive, Init::Zeros)?;
        archive.finish()?;
        Ok(masks)
    }

    fn build(metadata: MaskMetadata, source: &dyn ParameterSource, init: Init) -> Result<Self> {
        let root = Path::root(source);
        let shape = [metadata.preset.tokens, metadata.width];
        let embeddings =
            metadata.kinds.iter().map(|kind| root.child("mask").parameter(&kind.to_string(), &shape, init)).collect::<Result<Vec<_>>>()?;
        Ok(Self { metadata, embeddings, parameters: root.parameters() })
    }

    /// Writes the file, all or nothing.
    pub fn save(&self, path: &FilePath) -> Result<()> {
        let text = serde_json::to_string(&self.metadata).context("writing the metadata")?;
        weights::save(path, &self.tensors()?, &BTreeMap::from([(MaskMetadata::KEY.to_owned(), text)]))
    }

    /// All tensors under their names in the file: `mask.<object>+<type>`.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        self.parameters.tensors()
    }

    /// Everything that is trained.
    pub fn parameters(&self) -> &ParameterSet {
        &self.parameters
    }

    /// The embedding of the kind at this position, `[k', width]`.
    pub fn embedding(&self, kind: usize) -> &Parameter {
        &self.embeddings[kind]
    }

    /// The position of a type.
    ///
    /// # Errors
    /// When its masks were not learned: the message lists what was and names the nearest (exit code 2).
    pub fn position(&self, kind: &Kind) -> Result<usize> {
        position_of(kind, &self.metadata.kinds)
    }
}
