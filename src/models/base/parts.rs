//! The networks of a base model, one at a time.

use crate::error::Result;
use crate::input_error;
use crate::models::base::kind::Kind;
use crate::models::base::source::Source;
use crate::models::clip::{ClipTextConfig, ClipTextModel};
use crate::models::unet::{Unet, UnetConfig};
use crate::models::vae::{AutoencoderKl, VaeConfig};
use crate::nn::{ParameterSet, ParameterSource, Path, Placement};
use crate::tensor::Tensor;
use crate::weights::{self, Archive, Folder};

const LARGEST_CONFIG: u64 = 1 << 20;
/// How the files of weights begin.
const TEXT_ENCODER_FILE: &str = "model";
const DIFFUSION_FILE: &str = "diffusion_pytorch_model";

/// The text of a config and where it is from.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// JSON.
    pub text: String,
    /// The file, for messages.
    pub origin: String,
}

impl ConfigFile {
    pub(super) fn read(folder: &Folder, name: &str) -> Result<Self> {
        let origin = folder.show(name);
        let text = String::from_utf8(folder.read(name, LARGEST_CONFIG)?).map_err(|error| input_error!("{origin} is not UTF-8: {error}"))?;
        Ok(Self { text, origin })
    }
}

/// What a network was built from, and its parameters.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its config.
    pub config: ConfigFile,
    /// In order of construction, shared with the network.
    pub parameters: ParameterSet,
    /// The element types of its file, such as "F16"; `None` for one that was not read from a file.
    pub stored: Option<String>,
    digest: Option<[u8; 32]>,
}

impl Part {
    /// A network that was made here.
    pub fn new(config: ConfigFile, parameters: ParameterSet) -> Self {
        Self { config, parameters, stored: None, digest: None }
    }

    /// The parameters under their checkpoint names, in the checkpoint's layout.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        self.parameters.tensors()
    }

    /// [`Archive::digest`] of the file, or of what the file would be.
    pub(super) fn digest(&self) -> Result<[u8; 32]> {
        match self.digest {
            Some(digest) => Ok(digest),
            None => weights::digest(&self.tensors()?),
        }
    }
}

pub(super) fn text_encoder(source: &Source, placement: Placement) -> Result<(ClipTextModel, Part)> {
    read((source, placement), "text_encoder", TEXT_ENCODER_FILE, Kind::TextEncoder, |source, config| build_text_encoder(source, config))
}

pub(super) fn unet(source: &Source, placement: Placement) -> Result<(Unet, Part)> {
    read((source, placement), "unet", DIFFUSION_FILE, Kind::Unet, |source, config| build_unet(source, config))
}

pub(super) fn vae(source: &Source, placement: Placement) -> Result<(AutoencoderKl, Part)> {
    read((source, placement), "vae", DIFFUSION_FILE, Kind::Autoencoder, |source, config| build_vae(source, config))
}

pub(super) fn build_text_encoder(source: &dyn ParameterSource, config: ConfigFile) -> Result<(ClipTextModel, Part)> {
    let path = Path::root(source);
    let model = ClipTextModel::new(&path, &ClipTextConfig::from_json(&config.text, &config.origin)?)?;
    Ok((model, Part::new(config, path.parameters())))
}

pub(super) fn build_unet(source: &dyn ParameterSource, config: ConfigFile) -> Result<(Unet, Part)> {
    let path = Path::root(source);
    let model = Unet::new(&path, &UnetConfig::from_json(&config.text, &config.origin)?)?;
    Ok((model, Part::new(config, path.parameters())))
}

pub(super) fn build_vae(source: &dyn ParameterSource, config: ConfigFile) -> Result<(AutoencoderKl, Part)> {
    let path = Path::root(source);
    let model = AutoencoderKl::new(&path, &VaeConfig::from_json(&config.text, &config.origin)?)?;
    Ok((model, Part::new(config, path.parameters())))
}

/// The configs of text encoder, UNet and autoencoder; their weights are not read.
pub(super) fn configs(source: &Source) -> Result<(ClipTextConfig, UnetConfig, VaeConfig)> {
    let text = source.part("text_encoder", TEXT_ENCODER_FILE, Kind::TextEncoder)?.0;
    let unet = source.part("unet", DIFFUSION_FILE, Kind::Unet)?.0;
    let vae = source.part("vae", DIFFUSION_FILE, Kind::Autoencoder)?.0;
    Ok((
        ClipTextConfig::from_json(&text.text, &text.origin)?,
        UnetConfig::from_json(&unet.text, &unet.origin)?,
        VaeConfig::from_json(&vae.text, &vae.origin)?,
    ))
}

/// A network whose parameters go to where it shall compute as they are read.
fn read<M>(
    (source, placement): (&Source, Placement),
    name: &str,
    stem: &str,
    expected: Kind,
    build: impl Fn(&dyn ParameterSource, ConfigFile) -> Result<(M, Part)>,
) -> Result<(M, Part)> {
    let (config, archive) = source.part(name, stem, expected)?;
    let archive = archive.with_placement(placement);
    let (model, mut built) = build(&archive, config)?;
    archive.finish()?;
    built.digest = Some(archive.digest()?);
    built.stored = Some(stored_types(&archive));
    Ok((model, built))
}

fn stored_types(archive: &Archive) -> String {
    let mut types: Vec<String> = Vec::new();
    for stored in archive.names().filter_map(|name| archive.stored_type(name)).filter(|stored| stored.is_float()) {
        let stored = stored.to_string();
        if !types.contains(&stored) {
            types.push(stored);
        }
    }
    types.join(" and ")
}
