//! What a run learns: an embedding e_a for every type and the spatial encoder E, in memory and as one safetensors file (METHOD section 10).

mod metadata;
mod sizes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use crate::anomaly::conditioning::{embedding_scale, word_rows};
use crate::anomaly::presets::{EncoderKind, Preset};
use crate::anomaly::templates::Templates;
use crate::autograd::Var;
use crate::data::dataset::nearest;
use crate::device::Device;
use crate::error::{Context, Result};
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::models::resnet::PretrainedBackbone;
use crate::models::spatial_encoder::{SpatialEncoder, SpatialEncoderConfig};
use crate::nn::{Init, Parameter, ParameterSet, ParameterSource, Path, Placement, RandomInit};
use crate::ops;
use crate::tensor::Tensor;
use crate::tensor::random::Sampler;
use crate::weights::{self, Archive};

pub(in crate::anomaly) use metadata::parse_versioned;
pub use metadata::{FORMAT, Kind, Metadata};

/// Embeddings and encoder with their metadata.
///
/// A type's embedding says what all its training pairs have in common. Where they differ, in colour, say, one embedding for all of them is their mean, and
/// so would every defect be that is drawn from it. So each training pair has a look, too: what is added to e_a where that pair is learned. Defects are
/// drawn with mixtures of two looks. When a type has more pairs than looks, several pairs share one.
#[derive(Clone, Debug)]
pub struct Learned {
    /// What the file says about itself.
    pub metadata: Metadata,
    /// e_a, `[k, width]`, in the order of the metadata's kinds.
    anomalies: Vec<Parameter>,
    /// The looks of each kind, `[looks, k, width]`; nothing when the preset has none.
    looks: Vec<Parameter>,
    encoder: SpatialEncoder,
    parameters: ParameterSet,
}

/// How much of a training pair's look is in a mixture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LookShare {
    /// Number of the pair among the type's training pairs.
    pub pair: usize,
    /// 1 for its look as it was learned.
    pub share: f32,
}

impl LookShare {
    /// A random mixture of two of `pairs` looks; up to a quarter beyond one of them, so that defects vary as much as the pairs do. None of no pairs.
    pub fn draw(pairs: usize, sampler: &mut Sampler) -> Vec<Self> {
        if pairs == 0 {
            return Vec::new();
        }
        let share = sampler.range(-0.25, 1.25);
        vec![Self { pair: sampler.below(pairs), share }, Self { pair: sampler.below(pairs), share: 1.0 - share }]
    }
}

impl Learned {
    /// Fresh embeddings for `kinds` on the base model's device: every row of e_a the embedding of the preset's initial word, E random, looks
    /// zero. They stay f32: what trains needs small steps.
    ///
    /// # Errors
    /// When the GPU's memory is full (exit code 2).
    pub fn create(base: &BaseModel, preset: Preset, templates: Templates, kinds: Vec<Kind>, resolution: usize, seed: u64) -> Result<Self> {
        let width = base.text_encoder.token_embedding().weight().value().dim(1);
        let scale = embedding_scale(&base.text_encoder)?;
        let encoder = match preset.encoder {
            EncoderKind::ResnetFpn => sizes::resnet_fpn(width, resolution, preset.spatial_tokens, scale),
            EncoderKind::Psp => sizes::psp(width, preset.spatial_tokens),
            EncoderKind::None => SpatialEncoderConfig::None,
        };
        let metadata = Metadata {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            base_model: base.hash.clone(),
            width,
            resolution,
            seed,
            steps: 0,
            preset,
            templates,
            encoder,
            kinds,
        };
        let learned = Self::build(metadata, &RandomInit { seed })?;
        let preset = &learned.metadata.preset;
        for (anomaly, kind) in learned.anomalies.iter().zip(&learned.metadata.kinds) {
            let word = preset.initial_word.text(&kind.defect);
            anomaly.set(word_rows(&base.text_encoder, &base.tokenizer, &word, preset.anomaly_tokens)?)?;
        }
        learned.parameters.place(Placement::f32(base.unet.placement().device))?;
        Ok(learned)
    }

    /// Reads a file onto the base model's device, and checks that it is for this base model.
    ///
    /// # Errors
    /// When the file is damaged, not a learned file, of another format, or of another base model, or when the GPU's memory is full (exit code 2).
    pub fn load(path: &FilePath, base: &BaseModel) -> Result<Self> {
        let archive = Archive::open(path)?.with_placement(Placement::f32(base.unet.placement().device));
        let origin = path.display().to_string();
        let Some(text) = archive.metadata().remove(Metadata::KEY) else {
            invalid_input!(
                "{origin}: not a learned file: no entry `{}` in its header; expected learned.safetensors of `anodiff train`",
                Metadata::KEY
            )
        };
        let metadata = Metadata::parse(&text, &origin)?;
        if metadata.base_model != base.hash {
            invalid_input!(
                "{origin}: learned on the base model {}, but the one in use is {}; give --model the folder that it was trained with",
                metadata.base_model,
                base.hash
            );
        }
        let learned = Self::build(metadata, &archive)?;
        archive.finish()?;
        Ok(learned)
    }

    fn build(metadata: Metadata, source: &dyn ParameterSource) -> Result<Self> {
        let root = Path::root(source);
        let rows = [metadata.preset.anomaly_tokens, metadata.width];
        let anomalies =
            metadata.kinds.iter().map(|kind| root.child("anomaly").parameter(&kind.to_string(), &rows, Init::Zeros)).collect::<Result<Vec<_>>>()?;
        let looks = match metadata.preset.looks {
            0 => Vec::new(),
            looks => {
                let shape = [looks, metadata.preset.anomaly_tokens, metadata.width];
                metadata.kinds.iter().map(|kind| root.child("look").parameter(&kind.to_string(), &shape, Init::Zeros)).collect::<Result<_>>()?
            }
        };
        let encoder = SpatialEncoder::new(&root.child("spatial"), &metadata.encoder, metadata.width)?;
        Ok(Self { metadata, anomalies, looks, encoder, parameters: root.parameters() })
    }

    /// Writes the file, all or nothing.
    pub fn save(&self, path: &FilePath) -> Result<()> {
        let text = serde_json::to_string(&self.metadata).context("writing the metadata")?;
        weights::save(path, &self.tensors()?, &BTreeMap::from([(Metadata::KEY.to_owned(), text)]))
    }

    /// All tensors under their names in the file, in the checkpoint's layout.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        self.parameters.tensors()
    }

    /// Lets the spatial encoder's ResNet start from ImageNet weights in a safetensors file with torchvision's names.
    ///
    /// # Errors
    /// When the file does not fit, or the encoder has no such part: another kind, or a miniature's narrow one (exit code 2).
    pub fn start_encoder_from(&self, path: &FilePath) -> Result<()> {
        let SpatialEncoderConfig::ResnetFpn(config) = &self.metadata.encoder else {
            invalid_input!(
                "--encoder-weights {}: the preset's spatial encoder is not a torchvision ResNet; --preset default and paper have one",
                path.display()
            )
        };
        let placement = Placement::f32(self.parameters.iter().next().map_or(Device::Cpu, |first| first.placement().device));
        PretrainedBackbone::load(path, &config.backbone, placement).context("--encoder-weights")?.copy_into(&self.parameters, "spatial.")
    }

    /// Everything that is trained or saved.
    pub fn parameters(&self) -> &ParameterSet {
        &self.parameters
    }

    /// The embedding e_a of the kind at this position, `[k, width]`.
    pub fn anomaly(&self, kind: usize) -> &Parameter {
        &self.anomalies[kind]
    }

    /// e_a of the kind at this position with a mixture of the looks of its training pairs, `[k, width]`; gradients flow to both. Without looks, e_a alone.
    pub fn looking_like(&self, kind: usize, mixture: &[LookShare]) -> Result<Var> {
        let mut rows = self.anomalies[kind].var();
        let Some(looks) = self.looks.get(kind) else { return Ok(rows) };
        let [count, tokens, width] = looks.value().dims()?;
        for &LookShare { pair, share } in mixture {
            let look = ops::reshape(&ops::narrow(&looks.var(), 0, pair % count, 1)?, &[tokens, width])?;
            rows = ops::add(&rows, &ops::affine(&look, share, 0.0)?)?;
        }
        Ok(rows)
    }

    /// Does `work` and takes back what it did to running statistics: for a look from outside of training.
    pub fn keeping_statistics<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let frozen: Vec<&Parameter> = self.parameters.iter().filter(|parameter| !parameter.is_trainable()).collect();
        let before: Vec<Tensor> = frozen.iter().map(|parameter| parameter.value()).collect();
        let outcome = work();
        frozen.into_iter().zip(before).try_for_each(|(parameter, value)| parameter.set(value))?;
        outcome
    }

    /// The spatial encoder E.
    pub fn encoder(&self) -> &SpatialEncoder {
        &self.encoder
    }

    /// The position of a type.
    ///
    /// # Errors
    /// When it was not learned: the message lists what was and names the nearest (exit code 2).
    pub fn position(&self, kind: &Kind) -> Result<usize> {
        position_of(kind, &self.metadata.kinds)
    }
}

/// The position of a type among learned ones.
///
/// # Errors
/// When it is none of them: the message lists them and names the nearest (exit code 2).
pub(in crate::anomaly) fn position_of(kind: &Kind, kinds: &[Kind]) -> Result<usize> {
    if let Some(position) = kinds.iter().position(|known| known == kind) {
        return Ok(position);
    }
    let names: Vec<String> = kinds.iter().map(Kind::to_string).collect();
    let wanted = kind.to_string();
    let hint = nearest(&wanted, names.iter().map(String::as_str)).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    invalid_input!("{wanted} (--object, --type) was not learned{hint} There are: {}", names.join(", "))
}
