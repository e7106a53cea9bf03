//! The base model: text encoder, UNet, autoencoder and tokenizer of a latent diffusion model, from a folder in the diffusers layout, from an original
//! checkpoint in one file, or from the one embedded in the program. Frozen in everything but `pretrain`.

mod checkpoint;
mod embedded;
mod finite;
mod kind;
mod parts;
mod save;
mod source;
#[cfg(test)]
mod tests;

pub use parts::{ConfigFile, Part};
pub use save::write_folder;

use std::path::Path as FilePath;

use sha2::{Digest, Sha256};

use crate::digest::hexadecimal;
use crate::error::Result;
use crate::invalid_input;
use crate::models::clip::{ClipTextConfig, ClipTextModel};
use crate::models::tokenizer::ClipTokenizer;
use crate::models::unet::{Unet, UnetConfig};
use crate::models::vae::{AutoencoderKl, VaeConfig};
use crate::nn::{ParameterSource, Placement, RandomInit};
use crate::tensor::DType;
use source::Source;

/// A complete model.
#[derive(Clone, Debug)]
pub struct BaseModel {
    /// Turns token ids into the context.
    pub text_encoder: ClipTextModel,
    /// Predicts noise (or velocity) from a noisy latent and the context.
    pub unet: Unet,
    /// Between images and latents.
    pub vae: AutoencoderKl,
    /// Turns text into token ids.
    pub tokenizer: ClipTokenizer,
    /// The noise schedule that it was trained with, unread: `diffusion::Schedule::of` knows what it means.
    pub scheduler_config: ConfigFile,
    /// Names the weights: 64 hexadecimal digits, SHA-256 over each network's tensors as their files have them (names, element types, shapes, bytes).
    /// The same for any split into files; another for another element type. Takes about a second per 2 GB.
    pub hash: String,
    /// What the networks were built from, and their parameters.
    pub details: Details,
}

/// Each network with its config and parameters.
#[derive(Clone, Debug)]
pub struct Details {
    /// Of the text encoder.
    pub text_encoder: Part,
    /// Of the UNet.
    pub unet: Part,
    /// Of the autoencoder.
    pub vae: Part,
}

/// What can be said of a model without its weights.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Side of the square images that it was made for, in pixels.
    pub resolution: usize,
    /// Pixels along the side of a latent cell.
    pub cell: usize,
    /// As [`BaseModel::scheduler_config`].
    pub scheduler_config: ConfigFile,
}

/// The contents of the `config.json` files of a model that is made from nothing.
#[derive(Clone, Copy, Debug)]
pub struct Configs<'a> {
    /// `text_encoder/config.json`.
    pub text_encoder: &'a str,
    /// `unet/config.json`.
    pub unet: &'a str,
    /// `vae/config.json`.
    pub vae: &'a str,
    /// `scheduler/scheduler_config.json`.
    pub scheduler: &'a str,
}

impl BaseModel {
    /// Loads a folder in the diffusers layout or an original checkpoint in one `.safetensors` file; without either, the model embedded in the program. The
    /// parameters go to where and in what the networks shall compute as they are read; [`BaseModel::hash`] is that of the files.
    ///
    /// # Errors
    /// When it is another kind of model (named as what it is), a file is missing or damaged, the parts do not fit together, or the GPU's memory is full
    /// (exit code 2).
    pub fn load(path: Option<&FilePath>, placement: Placement) -> Result<Self> {
        let source = Source::open(path)?;
        let (text_encoder, text_part) = parts::text_encoder(&source, placement)?;
        let (unet, unet_part) = parts::unet(&source, placement)?;
        let (vae, vae_part) = parts::vae(&source, placement)?;
        let model = Self {
            text_encoder,
            unet,
            vae,
            tokenizer: source.tokenizer()?,
            scheduler_config: source.scheduler()?,
            hash: hash([&text_part, &unet_part, &vae_part])?,
            details: Details { text_encoder: text_part, unet: unet_part, vae: vae_part },
        };
        model.check(&source.to_string())?;
        Ok(model)
    }

    /// A model with random weights. A parameter's values depend on the seed and its name alone.
    ///
    /// # Errors
    /// When a config is not usable or the parts do not fit together.
    pub fn random(configs: &Configs, tokenizer: ClipTokenizer, seed: u64) -> Result<Self> {
        Self::from_source(configs, tokenizer, &RandomInit { seed })
    }

    /// A model whose parameters come from `source`.
    ///
    /// # Errors
    /// When a config is not usable or the parts do not fit together.
    pub fn from_source(configs: &Configs, tokenizer: ClipTokenizer, source: &dyn ParameterSource) -> Result<Self> {
        let config = |name: &str, text: &str| ConfigFile { text: text.to_owned(), origin: format!("{name}/config.json") };
        let (text_encoder, text_part) = parts::build_text_encoder(source, config("text_encoder", configs.text_encoder))?;
        let (unet, unet_part) = parts::build_unet(source, config("unet", configs.unet))?;
        let (vae, vae_part) = parts::build_vae(source, config("vae", configs.vae))?;
        let model = Self {
            text_encoder,
            unet,
            vae,
            tokenizer,
            scheduler_config: ConfigFile { text: configs.scheduler.to_owned(), origin: "scheduler/scheduler_config.json".to_owned() },
            hash: hash([&text_part, &unet_part, &vae_part])?,
            details: Details { text_encoder: text_part, unet: unet_part, vae: vae_part },
        };
        model.check("the configuration")?;
        Ok(model)
    }

    /// The configs of text encoder, UNet and autoencoder, without their weights.
    ///
    /// # Errors
    /// When it is another kind of model, or a file is missing or damaged (exit code 2).
    pub fn read_configs(path: Option<&FilePath>) -> Result<(ClipTextConfig, UnetConfig, VaeConfig)> {
        parts::configs(&Source::open(path)?)
    }

    /// What the configs say; no weight is read.
    ///
    /// # Errors
    /// As [`BaseModel::read_configs`].
    pub fn read_outline(path: Option<&FilePath>) -> Result<Outline> {
        let source = Source::open(path)?;
        let (_, unet, vae) = parts::configs(&source)?;
        let cell = vae.downscale();
        Ok(Outline { resolution: cells(&unet) * cell, cell, scheduler_config: source.scheduler()? })
    }

    /// Loads the text encoder alone.
    pub fn load_text_encoder(path: Option<&FilePath>, placement: Placement) -> Result<ClipTextModel> {
        Ok(parts::text_encoder(&Source::open(path)?, placement)?.0)
    }

    /// Loads the UNet alone.
    pub fn load_unet(path: Option<&FilePath>, placement: Placement) -> Result<Unet> {
        Ok(parts::unet(&Source::open(path)?, placement)?.0)
    }

    /// Loads the autoencoder alone.
    pub fn load_vae(path: Option<&FilePath>, placement: Placement) -> Result<AutoencoderKl> {
        Ok(parts::vae(&Source::open(path)?, placement)?.0)
    }

    /// Brings all three networks to where and in what they shall compute. [`BaseModel::hash`] stays that of the files.
    ///
    /// # Errors
    /// When the GPU's memory is full (exit code 2).
    pub fn place(&self, placement: Placement) -> Result<()> {
        let Details { text_encoder, unet, vae } = &self.details;
        [text_encoder, unet, vae].iter().try_for_each(|part| part.parameters.place(placement))
    }

    /// Writes the model as a folder in the diffusers layout, weights in `dtype`.
    ///
    /// # Errors
    /// When a file cannot be written (exit code 2). Each file appears whole or not at all, `model_index.json` last.
    pub fn save(&self, folder: &FilePath, dtype: DType) -> Result<()> {
        write_folder(folder, [&self.details.text_encoder, &self.details.unet, &self.details.vae], &self.tokenizer, &self.scheduler_config.text, dtype)
    }

    /// Side of the square images that the model was made for, in pixels: the UNet's `sample_size`; 64 latent cells where the config has none.
    pub fn resolution(&self) -> usize {
        self.cells() * self.vae.downscale()
    }

    fn cells(&self) -> usize {
        cells(self.unet.config())
    }

    /// How many numbers all parameters are.
    pub fn parameter_count(&self) -> usize {
        let Details { text_encoder, unet, vae } = &self.details;
        [text_encoder, unet, vae].iter().map(|part| part.parameters.elements()).sum()
    }

    /// Whether there is an embedded model in this build.
    pub fn is_embedded() -> bool {
        !embedded::FILES.is_empty()
    }

    /// The parts agree on the sizes that they share.
    fn check(&self, origin: &str) -> Result<()> {
        let (text, unet, vae): (&ClipTextConfig, &UnetConfig, &VaeConfig) = (self.text_encoder.config(), self.unet.config(), self.vae.config());
        for level in 0..unet.levels() {
            let width = unet.cross_attention_dim.at(level);
            if width != text.hidden_size {
                invalid_input!("{origin}: the UNet's cross_attention_dim is {width}, expected the text encoder's hidden_size {}", text.hidden_size);
            }
        }
        if vae.latent_channels != unet.in_channels {
            invalid_input!(
                "{origin}: the autoencoder's latent_channels is {}, expected the UNet's in_channels {}",
                vae.latent_channels,
                unet.in_channels
            );
        }
        const MOST_CELLS: usize = 4096;
        if !(1..=MOST_CELLS).contains(&self.cells()) {
            invalid_input!("{origin}: the UNet's sample_size is {}, expected 1 to {MOST_CELLS}", self.cells());
        }
        let (tokens, longest) = (self.tokenizer.vocabulary_size(), self.tokenizer.length());
        if tokens > text.vocab_size {
            invalid_input!("{origin}: the tokenizer has {tokens} tokens, expected at most the text encoder's vocab_size {}", text.vocab_size);
        }
        if longest > text.max_position_embeddings {
            let most = text.max_position_embeddings;
            invalid_input!(
                "{origin}: the tokenizer's model_max_length is {longest}, expected at most the text encoder's max_position_embeddings {most}"
            );
        }
        Ok(())
    }
}

/// Latent cells along the side of the images that a UNet was made for.
fn cells(unet: &UnetConfig) -> usize {
    const DEFAULT: usize = 64;
    unet.sample_size.as_ref().map_or(DEFAULT, |size| size.at(0))
}

fn hash(parts: [&Part; 3]) -> Result<String> {
    let mut all = Sha256::new();
    for part in parts {
        all.update(part.digest()?);
    }
    Ok(hexadecimal(&all.finalize()))
}
