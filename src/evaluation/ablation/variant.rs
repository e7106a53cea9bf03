//! The switches.

use serde::Serialize;

use crate::anomaly::presets::{EncoderKind, GenerationPreset, Preset};
use crate::anomaly::reweighting::{Mode, Reweighting};

/// The method with some of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Variant {
    /// Name in folders and tables.
    pub name: &'static str,
    /// The spatial embedding e_s, from the mask; without, the prompt holds e_a alone.
    pub spatial_embedding: bool,
    /// The loss counts inside the mask only; without, everywhere.
    pub masked_loss: bool,
    /// Attention is re-weighted while generating.
    pub reweighting: bool,
    /// Whether the paper's Table 4 has it.
    pub in_paper: bool,
}

/// All combinations, the paper's five in its order first.
pub const VARIANTS: [Variant; 8] = [
    variant("none", [false, false, false], true),
    variant("sae", [true, false, false], true),
    variant("sae+ml", [true, true, false], true),
    variant("ml+aar", [false, true, true], true),
    variant("all", [true, true, true], true),
    variant("ml", [false, true, false], false),
    variant("aar", [false, false, true], false),
    variant("sae+aar", [true, false, true], false),
];

const fn variant(name: &'static str, [spatial_embedding, masked_loss, reweighting]: [bool; 3], in_paper: bool) -> Variant {
    Variant { name, spatial_embedding, masked_loss, reweighting, in_paper }
}

impl Variant {
    /// In words.
    pub fn description(&self) -> String {
        let parts = [(self.spatial_embedding, "spatial embedding"), (self.masked_loss, "masked loss"), (self.reweighting, "re-weighting")];
        let on: Vec<&str> = parts.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        format!("{} ({})", self.name, if on.is_empty() { "none of the three".to_owned() } else { on.join(", ") })
    }

    /// The name of its training run.
    pub(super) fn run(&self) -> String {
        let part = |on: bool, name: &str| if on { name.to_owned() } else { format!("no-{name}") };
        format!("{}-{}", part(self.spatial_embedding, "spatial"), part(self.masked_loss, "masked"))
    }

    /// What its training run is done with. Re-weighting plays no part in it and stays as the preset has it, so that runs are shared.
    pub(super) fn training(&self, preset: &Preset) -> Preset {
        let mut preset = preset.clone();
        preset.training.masked_loss = self.masked_loss;
        if !self.spatial_embedding {
            (preset.encoder, preset.spatial_tokens) = (EncoderKind::None, 0);
        }
        preset
    }

    /// What it generates with.
    pub(super) fn generation(&self, preset: &Preset) -> GenerationPreset {
        let reweighting = if self.reweighting { preset.generation.reweighting } else { Reweighting::new(Mode::Off) };
        GenerationPreset { reweighting, ..preset.generation.clone() }
    }
}
