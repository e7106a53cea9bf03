//! What is to be made.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::anomaly::generated_set::MOST_PAIRS;
use crate::anomaly::learned::{Kind, Learned};
use crate::anomaly::mask_source::MaskSource;
use crate::anomaly::places::Places;
use crate::anomaly::presets::{GenerationPreset, MOST_BATCH};
use crate::anomaly::shard::Shard;
use crate::data::dataset::Dataset;
use crate::digest::hexadecimal;
use crate::error::{Context, Result};
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::tensor::DType;

/// Pairs of one type into one folder.
pub struct Order<'a> {
    /// The base model.
    pub base: &'a BaseModel,
    /// What was learned on it.
    pub learned: &'a Learned,
    /// Normal pictures and real masks.
    pub dataset: &'a Dataset,
    /// The type.
    pub kind: Kind,
    /// Sampling.
    pub settings: GenerationPreset,
    /// Where masks come from.
    pub masks: MaskSource,
    /// How many pairs the folder shall hold.
    pub count: u64,
    /// Images computed together; no image depends on it.
    pub batch_size: usize,
    /// Seed of all random numbers.
    pub seed: u64,
    /// The folder.
    pub out: &'a Path,
    /// Which of the pairs this process makes.
    pub shard: Shard,
}

impl Order<'_> {
    pub(super) fn check(&self) -> Result<()> {
        if self.count == 0 || self.count > MOST_PAIRS {
            invalid_input!("--count {}: expected 1 to {MOST_PAIRS}", self.count);
        }
        if self.batch_size == 0 || self.batch_size > MOST_BATCH {
            invalid_input!("--batch-size {}: expected 1 to {MOST_BATCH}", self.batch_size);
        }
        Ok(())
    }

    /// A digest of everything that the pairs depend on: equal recipes make equal pairs. Paths, batch size, count and shard are no part of it.
    pub(super) fn recipe(&self, places: &Places) -> Result<String> {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for (name, tensor) in self.learned.tensors()? {
            part(name.as_bytes());
            part(&tensor.bytes()?);
        }
        let settings = serde_json::to_string(&(&self.learned.metadata, &self.settings)).context("the settings as JSON")?;
        part(settings.as_bytes());
        part(&self.seed.to_le_bytes());
        // The device is no part of it: devices differ by rounding, another element type by more than that.
        let dtype = self.base.unet.placement().dtype;
        if dtype != DType::F32 {
            part(dtype.to_string().as_bytes());
        }
        part(places.masks().fingerprint()?.as_bytes());
        for normal in &places.object().normals {
            part(normal.file_name().unwrap_or_default().as_encoded_bytes());
        }
        Ok(hexadecimal(&hash.finalize()[..8]))
    }
}
