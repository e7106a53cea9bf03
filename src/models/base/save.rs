//! A base model as a folder in the diffusers layout, which diffusers' `StableDiffusionPipeline.from_pretrained` loads, too.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Context, Result};
use crate::files;
use crate::models::base::Part;
use crate::models::tokenizer::ClipTokenizer;
use crate::tensor::DType;
use crate::weights;

/// Writes text encoder, UNet and autoencoder (in this order), tokenizer and scheduler config, weights in `dtype`.
///
/// # Errors
/// When a file cannot be written (exit code 2). Each file appears whole or not at all; `model_index.json`, which makes the folder a model, comes last.
pub fn write_folder(folder: &Path, parts: [&Part; 3], tokenizer: &ClipTokenizer, scheduler: &str, dtype: DType) -> Result<()> {
    let places = [("text_encoder", "model"), ("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model")];
    for ((name, stem), part) in places.into_iter().zip(parts) {
        write_part(&folder.join(name), stem, part, dtype)?;
    }
    write(&folder.join("tokenizer"), tokenizer.files().iter().map(|(name, content)| (name.as_str(), content.as_slice())))?;
    write(&folder.join("scheduler"), [("scheduler_config.json", scheduler.as_bytes())])?;
    let scheduler: Value = serde_json::from_str(scheduler).context("the scheduler's config")?;
    let class = scheduler.get("_class_name").and_then(Value::as_str).unwrap_or("DDIMScheduler");
    let index = json!({
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.30.0",
        "feature_extractor": [null, null],
        "requires_safety_checker": false,
        "safety_checker": [null, null],
        "scheduler": ["diffusers", class],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    });
    write(folder, [("model_index.json", format!("{index:#}\n").as_bytes())])
}

fn write_part(folder: &Path, stem: &str, part: &Part, dtype: DType) -> Result<()> {
    write(folder, [("config.json", part.config.text.as_bytes())])?;
    let mut tensors = part.tensors()?;
    for (_, tensor) in &mut tensors {
        *tensor = tensor.to_dtype(dtype)?;
    }
    // Without this entry transformers refuses the file.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    weights::save(&folder.join(format!("{stem}.safetensors")), &tensors, &metadata)
}

fn write<'a>(folder: &Path, contents: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<()> {
    files::create_folder(folder)?;
    contents.into_iter().try_for_each(|(name, content)| files::write_bytes_atomic(&folder.join(name), content))
}
