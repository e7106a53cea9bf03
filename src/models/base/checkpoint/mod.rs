//! A Stable Diffusion checkpoint in one `.safetensors` file, as the original program writes it and as most fine-tuned models are passed on: the three
//! networks under other names, without configs and without a tokenizer.

mod configs;
mod names;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::Value;

use super::parts::ConfigFile;
use crate::error::Result;
use crate::files;
use crate::invalid_input;
use crate::models::tokenizer::ClipTokenizer;
use crate::weights::Archive;
use configs::Family;
use names::{CLIP, OPEN_CLIP, Structure, UNET, VAE};

/// A checkpoint, its tensors under the names that a diffusers folder has.
#[derive(Debug)]
pub(super) struct Checkpoint {
    label: String,
    archive: Archive,
    structure: Structure,
    family: Family,
    velocity: bool,
}

/// Sides of the latents that the models were trained on, in cells: 512 and 768 pixels.
const LATENT_SIDE: usize = 64;
const LATENT_SIDE_VELOCITY: usize = 96;

impl Checkpoint {
    /// Reads what decides the networks' shapes; the file's tensors are read by [`Checkpoint::part`].
    ///
    /// # Errors
    /// When the text encoder is of no family that fits, when tensors are there that no such model has, or when it cannot be known what the model
    /// predicts (exit code 2).
    pub(super) fn new(path: &Path, archive: Archive) -> Result<Self> {
        let label = path.display().to_string();
        let has = |prefix: &str| archive.names().any(|name| name.starts_with(prefix));
        let family = if has(&format!("{CLIP}text_model.")) {
            Family::One
        } else if has(&format!("{OPEN_CLIP}transformer.resblocks.")) {
            Family::Two
        } else if has("cond_stage_model.transformer.attn_layers.") {
            invalid_input!("{label} is the latent diffusion model with a BERT text encoder (text2img-large), which is not supported yet");
        } else {
            invalid_input!("{label} has a UNet but no text encoder of Stable Diffusion 1.x (tensors {CLIP}text_model.*) or 2.x ({OPEN_CLIP}*)");
        };
        let structure = Structure::of(&archive.names().collect::<Vec<_>>());
        let velocity = predicts_velocity(path, family)?;
        let checkpoint = Self { label, archive, structure, family, velocity };
        checkpoint.refuse_unknown()?;
        Ok(checkpoint)
    }

    /// How messages call it: the file.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// A network's config and weights: `text_encoder`, `unet` or `vae`.
    pub(super) fn part(&self, name: &str) -> Result<(ConfigFile, Archive)> {
        let label = format!("{} ({name})", self.label);
        let archive = self.archive.renamed(label.clone(), |tensor| self.translate(tensor, name))?;
        let config = match name {
            "unet" => configs::unet(&archive, self.family, if self.velocity { LATENT_SIDE_VELOCITY } else { LATENT_SIDE })?,
            "vae" => configs::vae(&archive)?,
            _ => configs::text_encoder(&archive, self.family)?,
        };
        Ok((config_file(&config, label), archive))
    }

    /// CLIP's own, with the padding of the family.
    pub(super) fn tokenizer(&self) -> Result<ClipTokenizer> {
        ClipTokenizer::clip(if self.family == Family::One { "<|endoftext|>" } else { "!" })
    }

    /// The noise schedule of the family.
    pub(super) fn scheduler(&self) -> ConfigFile {
        config_file(&configs::scheduler(self.velocity), format!("{} (scheduler)", self.label))
    }

    fn translate(&self, name: &str, part: &str) -> Vec<String> {
        let inside = |prefix: &str| name.strip_prefix(prefix);
        match part {
            "unet" => inside(UNET).and_then(|name| self.structure.unet(name)).into_iter().collect(),
            "vae" => inside(VAE).and_then(|name| self.structure.vae(name)).into_iter().collect(),
            _ if self.family == Family::Two => inside(OPEN_CLIP).map(|name| self.structure.open_clip(name)).unwrap_or_default(),
            _ => inside(CLIP).map(str::to_owned).into_iter().collect(),
        }
    }

    /// A tensor of a network that has no counterpart shows that the file is not what it seems to be. Outside of the networks are averages that the
    /// training kept and the noise schedule's tables, which are not needed.
    fn refuse_unknown(&self) -> Result<()> {
        let unneeded = |name: &str| name.strip_prefix(OPEN_CLIP).is_some_and(|name| self.structure.unneeded_by_text(name));
        let translated = |name: &str| ["unet", "vae", "text_encoder"].iter().any(|part| !self.translate(name, part).is_empty());
        let of_a_network = |name: &str| [UNET, VAE, CLIP, OPEN_CLIP].iter().any(|prefix| name.starts_with(prefix));
        let unknown: Vec<&str> = self.archive.names().filter(|name| of_a_network(name) && !unneeded(name) && !translated(name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        const SHOWN: usize = 8;
        let rest = if unknown.len() > SHOWN { format!(" and {} more", unknown.len() - SHOWN) } else { String::new() };
        invalid_input!(
            "{}: no Stable Diffusion 1.x or 2.x model has the tensors {}{rest}",
            self.label,
            unknown[..unknown.len().min(SHOWN)].join(", ")
        )
    }
}

fn config_file(config: &Value, origin: String) -> ConfigFile {
    ConfigFile { text: format!("{config:#}\n"), origin }
}

/// Whether the model predicts the velocity rather than the noise: what the original's YAML says, kept beside the checkpoint under the same name.
/// Without one, SD 1.x predicts the noise; of SD 2.x there are both, and no tensor tells them apart.
fn predicts_velocity(path: &Path, family: Family) -> Result<bool> {
    const LARGEST: u64 = 1 << 20;
    let yaml = path.with_extension("yaml");
    if yaml.is_file() {
        let text = files::read_limited(&yaml, LARGEST)?;
        let text = String::from_utf8_lossy(&text);
        let value = text.lines().find_map(|line| line.split('#').next()?.trim().strip_prefix("parameterization:").map(str::trim));
        return match value.map(|value| value.trim_matches(['"', '\''])) {
            None | Some("eps") => Ok(false),
            Some("v") => Ok(true),
            Some(other) => invalid_input!("{}: parameterization is {other}, expected eps or v", yaml.display()),
        };
    }
    if family == Family::Two {
        invalid_input!(
            "{} is a Stable Diffusion 2.x checkpoint, and nothing in it says whether it predicts noise (2.0-base, 2.1-base) or velocity (2.0, 2.1): \
             put its v2-inference.yaml or v2-inference-v.yaml beside it as {}",
            path.display(),
            yaml.display()
        );
    }
    Ok(false)
}
