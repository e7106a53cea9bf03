//! The presets' numbers for learned masks (METHOD section 6; paper Eq. 9).

use serde::{Deserialize, Serialize};

use super::{AugmentationKind, ConditioningMode, LatentDraw, MOST_BATCH, MOST_STEPS, MOST_TOKENS, Optimizer, Preset, PresetName, check_count};
use crate::anomaly::templates::TemplateSet;
use crate::error::Result;
use crate::invalid_input;

/// What the rows of a mask embedding start from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskStart {
    /// The embedding of one word for all types.
    Word(String),
    /// Normally distributed numbers of a word's size (the paper).
    Random,
}

/// How masks are drawn from a trained embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskSampling {
    /// DDIM steps.
    pub steps: usize,
    /// DDIM's eta.
    pub eta: f64,
    /// Guidance against the empty prompt; 1 is none.
    pub guidance: f64,
    /// A pixel is set when the mean of its channels, in [-1, 1], is above this.
    pub threshold: f64,
    /// Whether masks are cleaned, held to the real masks' areas and put on the object; otherwise only the released program's border rule holds.
    pub clean: bool,
}

/// Every setting of learned masks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskPreset {
    /// Which preset this started from.
    pub name: PresetName,
    /// k', rows of each embedding e_m.
    pub tokens: usize,
    /// What they start from.
    pub start: MaskStart,
    /// How they become context.
    pub conditioning: ConditioningMode,
    /// Prompt templates.
    pub templates: TemplateSet,
    /// Optimisation steps of the whole run.
    pub steps: usize,
    /// Masks a step; types take turns.
    pub batch_size: usize,
    /// The optimiser; its encoder factor plays no part.
    pub optimizer: Optimizer,
    /// How drawn masks become latents.
    pub latent: LatentDraw,
    /// How masks are augmented: off or each sample.
    pub augmentation: AugmentationKind,
    /// Sampling.
    pub sampling: MaskSampling,
}

impl MaskPreset {
    /// The numbers of a preset for `types` types. The released program trains each type by itself for 30,001 steps; here all types share a run that is
    /// as many times longer, so that each sees as many masks.
    pub fn new(name: PresetName, types: usize) -> Self {
        const RELEASED_STEPS: usize = 30_001;
        let shared = Preset::new(name);
        let released = MaskSampling { steps: 100, eta: 1.0, guidance: 5.0, threshold: 0.8, clean: false };
        // Textual inversion's AdamW keeps PyTorch's decay; the embeddings of ours are not decayed, because their length has a meaning.
        let official = Optimizer { weight_decay: 1e-2, ..Preset::new(PresetName::Official).training.optimizer };
        let common = Self {
            name,
            tokens: shared.mask_tokens,
            start: MaskStart::Word("crack".into()),
            conditioning: shared.conditioning,
            templates: shared.templates,
            steps: RELEASED_STEPS.saturating_mul(types),
            batch_size: 4,
            optimizer: official,
            latent: LatentDraw::Sample,
            augmentation: AugmentationKind::Off,
            sampling: released,
        };
        match name {
            PresetName::Official => common,
            PresetName::Paper => Self { start: MaskStart::Random, ..common },
            PresetName::Default => Self {
                steps: 500 * types.max(1),
                optimizer: Optimizer { weight_decay: 0.0, ..shared.training.optimizer },
                augmentation: AugmentationKind::Sample,
                sampling: MaskSampling { steps: 50, eta: 1.0, guidance: 3.0, threshold: 0.0, clean: true },
                ..common
            },
        }
    }

    /// Refuses numbers that cannot work; `--flag` names stand where the command line sets them.
    pub fn check(&self) -> Result<()> {
        let sampling = &self.sampling;
        for (value, most, what) in [
            (self.tokens, MOST_TOKENS, "mask tokens (k')"),
            (self.steps, MOST_STEPS, "--steps of training"),
            (self.batch_size, MOST_BATCH, "--batch-size"),
            (sampling.steps, MOST_STEPS, "--steps of masks"),
        ] {
            check_count(value, most, what)?;
        }
        let rate = self.optimizer.learning_rate;
        if !(rate.is_finite() && rate > 0.0) {
            invalid_input!("--learning-rate: expected a positive number, found {rate}");
        }
        if !(0.0..=1.0).contains(&sampling.eta) {
            invalid_input!("--eta: expected 0 to 1, found {}", sampling.eta);
        }
        if !(sampling.guidance.is_finite() && sampling.guidance >= 0.0) {
            invalid_input!("--guidance: expected 0 or more, found {}", sampling.guidance);
        }
        if !(-1.0..1.0).contains(&sampling.threshold) {
            invalid_input!("--threshold: expected -1 to below 1, found {}", sampling.threshold);
        }
        Ok(())
    }
}
