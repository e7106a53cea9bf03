//! Naming what a file or folder holds, when it is not the model that is needed.

use std::path::Path;

use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::source::Source;
use crate::error::Result;
use crate::input_error;
use crate::invalid_input;
use crate::weights::{Archive, Folder};

/// What the tensors of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Lora,
    Sdxl,
    StableDiffusion3,
    Flux,
    Inpainting,
    SingleFile,
    TextEncoder,
    Unet,
    Autoencoder,
}

const NEEDED: &str = "expected a Stable Diffusion 1.x or 2.x text-to-image model: a folder in the diffusers layout (unet, vae, text_encoder, tokenizer, scheduler) or one \
     .safetensors file";

impl Kind {
    fn describe(self) -> &'static str {
        match self {
            Self::Lora => "a LoRA: small changes to a model, not the model; merge it into its base model first",
            Self::Sdxl => "an SDXL model, which has two text encoders and another conditioning",
            Self::StableDiffusion3 => "a Stable Diffusion 3 model, which has a transformer in place of the UNet",
            Self::Flux => "a FLUX model, which has a transformer in place of the UNet",
            Self::Inpainting => "an inpainting model: its UNet has 9 input channels (latent, mask and masked image) where 4 are needed",
            Self::SingleFile => "a Stable Diffusion checkpoint in one file",
            Self::TextEncoder => "a text encoder alone",
            Self::Unet => "a UNet alone",
            Self::Autoencoder => "an autoencoder (VAE) alone",
        }
    }

    /// From the names and shapes that give each layout away.
    fn of(archive: &Archive) -> Option<Self> {
        let any = |test: &dyn Fn(&str) -> bool| archive.names().any(test);
        let starts = |prefix: &str| any(&|name| name.starts_with(prefix));
        let contains = |part: &str| any(&|name| name.contains(part));
        let nine_inputs = |name: &str| archive.shape(name).is_some_and(|shape| shape.get(1) == Some(&9));
        if contains(".lora_") || starts("lora_") || contains(".lora.") || contains("_lora.") {
            return Some(Self::Lora);
        }
        if starts("conditioner.embedders.") || contains("add_embedding.linear_1.") || contains("model.diffusion_model.label_emb.") {
            return Some(Self::Sdxl);
        }
        if contains("joint_blocks.") || contains(".norm1_context.") {
            return Some(if contains("single_transformer_blocks.") { Self::Flux } else { Self::StableDiffusion3 });
        }
        if contains("double_blocks.") || contains("single_transformer_blocks.") {
            return Some(Self::Flux);
        }
        if nine_inputs("conv_in.weight") || nine_inputs("model.diffusion_model.input_blocks.0.0.weight") {
            return Some(Self::Inpainting);
        }
        if starts("model.diffusion_model.") {
            return Some(Self::SingleFile);
        }
        if contains("token_embedding.weight") {
            return Some(Self::TextEncoder);
        }
        if starts("down_blocks.") && contains(".attn2.") {
            return Some(Self::Unet);
        }
        (starts("encoder.down_blocks.") || starts("decoder.up_blocks.") || starts("first_stage_model.")).then_some(Self::Autoencoder)
    }
}

/// Refuses the weights of one network in the folder of another, by name. Weights of no known layout pass: their names are compared later.
pub(super) fn refuse_other(archive: &Archive, expected: Kind) -> Result<()> {
    match Kind::of(archive) {
        Some(kind) if kind != expected => invalid_input!("{} holds {}; {NEEDED}", archive.label(), kind.describe()),
        _ => Ok(()),
    }
}

/// Pipelines by the start of their class's name, the longer first.
const PIPELINES: [(&str, &str); 13] = [
    ("StableDiffusionXL", "an SDXL model, which has two text encoders and another conditioning"),
    ("StableDiffusion3", "a Stable Diffusion 3 model, which has a transformer in place of the UNet"),
    ("Flux", "a FLUX model, which has a transformer in place of the UNet"),
    ("StableDiffusionInpaint", "an inpainting model: its UNet has 9 input channels (latent, mask and masked image) where 4 are needed"),
    ("StableDiffusionInstructPix2Pix", "an image-editing model (InstructPix2Pix)"),
    ("StableDiffusionUpscale", "an upscaler"),
    ("StableDiffusionLatentUpscale", "an upscaler"),
    ("StableDiffusionDepth2Img", "a depth-conditioned model"),
    ("StableUnCLIP", "an unCLIP model, conditioned on images"),
    ("LDMTextToImage", "the latent diffusion model with a BERT text encoder (text2img-large), which is not supported yet"),
    ("PixArt", "a PixArt model, which has a transformer in place of the UNet"),
    ("Kandinsky", "a Kandinsky model"),
    ("IF", "a pixel-space model (DeepFloyd IF)"),
];

/// Opens a folder in the diffusers layout or an original checkpoint; anything else is refused, saying what it is.
pub(super) fn open(path: &Path) -> Result<Source> {
    if path.is_file() {
        return open_file(path);
    }
    if !path.is_dir() {
        invalid_input!("--model {}: there is no such folder or file; {NEEDED}", path.display());
    }
    let folder = Folder::disk(path);
    let refuse = |what: &str| input_error!("{folder} is {what}; {NEEDED}");
    if let Some(class) = class_of(&folder)?
        && let Some((_, what)) = PIPELINES.iter().find(|(start, _)| class.starts_with(start))
    {
        return Err(refuse(what));
    }
    let has = |name: &str| folder.child(name).exists();
    if has("transformer") {
        return Err(refuse(if has("text_encoder_3") { Kind::StableDiffusion3 } else { Kind::Flux }.describe()));
    }
    if has("text_encoder_2") {
        return Err(refuse(Kind::Sdxl.describe()));
    }
    if has("unet") {
        return Ok(Source::Folder(folder));
    }
    if has("text_encoder") {
        return Err(refuse("a text encoder without a UNet"));
    }
    let weights = folder.file_names().into_iter().filter(|name| name.ends_with(".safetensors")).collect::<Vec<_>>();
    match &weights[..] {
        [] => Err(refuse("no model: it has no unet folder")),
        [name] => open_file(&path.join(name)),
        several => Err(refuse(&format!("no model but has several weight files ({}); name the one that is meant", several.join(", ")))),
    }
}

/// The class in `model_index.json`, where there is one.
fn class_of(folder: &Folder) -> Result<Option<String>> {
    let name = "model_index.json";
    if !folder.has(name) {
        return Ok(None);
    }
    let index: Value = match serde_json::from_slice(&folder.read(name, 1 << 20)?) {
        Ok(index) => index,
        Err(error) => invalid_input!("{} is damaged: {error}", folder.show(name)),
    };
    Ok(index.get("_class_name").and_then(Value::as_str).map(str::to_owned))
}

/// A checkpoint in one file.
fn open_file(path: &Path) -> Result<Source> {
    let shown = path.display();
    if path.extension().is_none_or(|extension| extension != "safetensors") {
        invalid_input!("{shown} is a file; {NEEDED}. Files like .ckpt and .bin can run code when loaded and are not read");
    }
    let archive = Archive::open(path)?;
    match Kind::of(&archive) {
        Some(Kind::SingleFile) => Ok(Source::File(Box::new(Checkpoint::new(path, archive)?))),
        Some(kind) => invalid_input!("{shown} is {}; {NEEDED}", kind.describe()),
        None => invalid_input!("{shown} is a file of {} tensors of an unknown kind; {NEEDED}", archive.names().count()),
    }
}
