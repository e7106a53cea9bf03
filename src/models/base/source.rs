//! Where a base model is read from.

use std::fmt;
use std::path::Path;

use super::checkpoint::Checkpoint;
use super::embedded;
use super::kind;
use super::parts::ConfigFile;
use crate::error::Result;
use crate::invalid_input;
use crate::models::base::kind::Kind;
use crate::models::tokenizer::ClipTokenizer;
use crate::weights::{Archive, Folder};

/// A folder in the diffusers layout, or an original checkpoint.
#[derive(Debug)]
pub(super) enum Source {
    Folder(Folder),
    File(Box<Checkpoint>),
}

impl Source {
    /// Checked to hold no other kind of model; without a path, the embedded model.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        match path {
            Some(path) => kind::open(path),
            None if !embedded::FILES.is_empty() => Ok(Self::Folder(Folder::embedded(embedded::FILES))),
            None => invalid_input!(
                "the embedded base model is not part of this build: weights/tiny/ was empty when it was compiled; give a model with --model, or train \
                 one with `anodiff pretrain`"
            ),
        }
    }

    /// The config and weights of the network `name`, in a folder's file called `stem`.
    pub(super) fn part(&self, name: &str, stem: &str, expected: Kind) -> Result<(ConfigFile, Archive)> {
        let folder = match self {
            Self::Folder(folder) => folder,
            Self::File(checkpoint) => return checkpoint.part(name),
        };
        let part = folder.child(name);
        if !part.exists() {
            invalid_input!("{folder} has no {name} folder: expected a model in the diffusers layout (unet, vae, text_encoder, tokenizer, scheduler)");
        }
        let config = ConfigFile::read(&part, "config.json")?;
        let archive = Archive::in_folder(&part, stem)?;
        kind::refuse_other(&archive, expected)?;
        Ok((config, archive))
    }

    pub(super) fn tokenizer(&self) -> Result<ClipTokenizer> {
        match self {
            Self::Folder(folder) => ClipTokenizer::load(&folder.child("tokenizer")),
            Self::File(checkpoint) => checkpoint.tokenizer(),
        }
    }

    /// The scheduler's config. A folder without one is refused: a wrong guess would not show but in bad pictures.
    pub(super) fn scheduler(&self) -> Result<ConfigFile> {
        let folder = match self {
            Self::Folder(folder) => folder,
            Self::File(checkpoint) => return Ok(checkpoint.scheduler()),
        };
        let (scheduler, name) = (folder.child("scheduler"), "scheduler_config.json");
        if !scheduler.has(name) {
            invalid_input!("{} is missing: it says how much noise each step has; copy it from the model's publisher", scheduler.show(name));
        }
        ConfigFile::read(&scheduler, name)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.fmt(formatter),
            Self::File(checkpoint) => formatter.write_str(checkpoint.label()),
        }
    }
}
