//! The finished model as a folder in the diffusers layout, weights in f16.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Trained;
use super::autoencoder::AutoencoderStage;
use super::recipe::Recipe;
use crate::error::{Context, Result};
use crate::models::base::{self, ConfigFile, Part};
use crate::nn::ParameterSet;
use crate::tensor::DType;

/// A config of the recipe with some fields set.
pub(super) fn with_fields(config: &str, fields: &[(&str, Value)]) -> Result<String> {
    let mut config: Map<String, Value> = serde_json::from_str(config).context("a config of the recipe")?;
    config.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Ok(serde_json::to_string_pretty(&config)? + "\n")
}

/// Writes the model; every file all or nothing.
pub(super) fn save(folder: &Path, recipe: &Recipe, autoencoder: &AutoencoderStage, trained: &Trained) -> Result<()> {
    let Trained { stage, tokenizer, scale } = trained;
    let part = |name: &str, config: &str, fields: &[(&str, Value)], parameters: &ParameterSet| -> Result<Part> {
        let origin = format!("{name}/config.json");
        Ok(Part::new(ConfigFile { text: with_fields(config, fields)?, origin }, parameters.clone()))
    };
    let ids = [
        ("vocab_size", json!(tokenizer.vocabulary_size())),
        ("bos_token_id", json!(tokenizer.start_id())),
        ("eos_token_id", json!(tokenizer.end_id())),
        ("pad_token_id", json!(tokenizer.pad_id())),
    ];
    let text_encoder = part("text_encoder", recipe.text_encoder, &ids, stage.text_parameters())?;
    let unet = part("unet", recipe.unet, &[], stage.parameters())?;
    let vae = part("vae", recipe.vae, &[("scaling_factor", json!(scale))], autoencoder.parameters())?;
    base::write_folder(folder, [&text_encoder, &unet, &vae], tokenizer, recipe.scheduler, DType::F16)
}
