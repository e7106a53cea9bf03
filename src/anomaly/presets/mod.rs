//! The three presets as data: every number that the paper leaves open, with its source (METHOD). A run records its preset whole.

mod masks;
mod values;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use masks::{MaskPreset, MaskSampling, MaskStart};

use crate::anomaly::reweighting::Reweighting;
use crate::anomaly::templates::TemplateSet;
use crate::data::mask::CellRule;
use crate::error::Result;
use crate::invalid_input;

/// Which preset a run started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresetName {
    /// For everyone: leak-free, background kept, what measures best.
    Default,
    /// The paper's text, Eq. 1 and 5 to 9 literally.
    Paper,
    /// The released program.
    Official,
}

impl PresetName {
    /// Reads `default | paper | official`.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "default" => Self::Default,
            "paper" => Self::Paper,
            "official" => Self::Official,
            other => invalid_input!("--preset {other}: expected default, paper or official"),
        })
    }
}

/// How learned embeddings become the context of the cross-attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditioningMode {
    /// Inside a prompt, through the text transformer.
    Text,
    /// {e_a, e_s} itself (Eq. 8 read literally).
    Direct,
}

/// The word that every row of an anomaly embedding starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialWord {
    /// The name of the defect type ("broken_large" as two words), whose meaning the base model often knows; "anomaly" where a name has no letters.
    TypeName,
    /// One word for all types.
    Word(String),
}

impl InitialWord {
    /// The text whose embedding the rows of the type called `name` start from.
    pub fn text(&self, name: &str) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::TypeName if !name.chars().any(char::is_alphabetic) => "anomaly".into(),
            Self::TypeName => name.replace(['_', '-'], " "),
        }
    }
}

/// Which spatial encoder E, in sizes that fit the base model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderKind {
    /// ResNet, feature pyramid, a network per token.
    ResnetFpn,
    /// pSp on IR-50.
    Psp,
    /// None: the prompt holds e_a alone, and the mask acts through blending only. For the ablation.
    None,
}

/// Which statistics E's batch norm uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchNormPolicy {
    /// Measured once on the training masks before the first step, then fixed. Nothing depends on which masks share a batch.
    Measured,
    /// The batch's own in training, running averages at generation.
    Batch,
    /// The batch's own always: at generation that of [`GROUP`] consecutive masks, whatever the batch size.
    Always,
}

/// Masks whose statistics [`BatchNormPolicy::Always`] takes together at generation: the released program's batch.
pub const GROUP: usize = 8;

/// What the masked loss is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossMean {
    /// All elements: Eq. 6 as it stands, large masks dominate.
    Elements,
    /// Each sample's mask area: every sample weighs the same.
    MaskArea,
}

/// How an image becomes a latent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatentDraw {
    /// A sample of the posterior.
    Sample,
    /// Its mean.
    Mode,
}

/// How samples are augmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AugmentationKind {
    /// Not at all.
    Off,
    /// Flips, rotation and crop drawn for each sample; drawn again when the mask came out empty.
    Sample,
    /// With probability 0.5 the whole batch, one crop box for all (released program).
    Batch,
}

/// The optimiser of e_a and E.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Optimizer {
    /// Learning rate of the anomaly embeddings.
    pub learning_rate: f64,
    /// Learning rate of the spatial encoder over that.
    pub encoder_factor: f64,
    /// Steps from 0 up to the learning rate.
    pub warmup_steps: usize,
    /// Whether the rate falls to a tenth along a half cosine.
    pub cosine: bool,
    /// Decay of the gradient's running mean.
    pub beta1: f64,
    /// Decay of its running square.
    pub beta2: f64,
    /// Added to the root of the running square.
    pub epsilon: f64,
    /// Decoupled weight decay, of E only.
    pub weight_decay: f64,
    /// Largest norm of all gradients together; none when absent.
    pub clip_norm: Option<f64>,
    /// Whether embeddings of types absent from a batch keep moving by their momentum (a dense Adam, as the released program's).
    pub absent_types_move: bool,
}

/// What a field that files of earlier versions lack stands for. It is not written either, so that files and recipes stay the same.
fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

/// Settings of the training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingPreset {
    /// Optimisation steps.
    pub steps: usize,
    /// Samples a step.
    pub batch_size: usize,
    /// Optimiser of e_a and E.
    pub optimizer: Optimizer,
    /// Whether the loss counts inside the mask only (Eq. 5); without, everywhere. For the ablation.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub masked_loss: bool,
    /// What the masked loss is divided by.
    pub loss_mean: LossMean,
    /// How training images become latents.
    pub latent: LatentDraw,
    /// How training images and masks are augmented.
    pub augmentation: AugmentationKind,
}

/// Settings of the generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationPreset {
    /// DDIM steps.
    pub steps: usize,
    /// DDIM's eta: 0 deterministic, 1 as much noise as the ancestral sampler.
    pub eta: f64,
    /// Classifier-free guidance; 1 is none.
    pub guidance: f64,
    /// Share of the coarse part of the starting noise that stays inside the mask; 1 is Gaussian noise, as for runs that do not say.
    #[serde(default = "gaussian_noise")]
    pub coarse_noise: f64,
    /// Attention re-weighting.
    pub reweighting: Reweighting,
    /// How the normal image becomes a latent.
    pub latent: LatentDraw,
    /// Whether the normal image's latent replaces the background once more after the last step.
    pub last_blend: bool,
    /// Whether the normal image's pixels replace the background outside the mask.
    pub paste: bool,
    /// Width of the paste's soft edge outside the mask, as a share of the image's shorter side.
    pub feather: f64,
}

impl GenerationPreset {
    /// The width of the paste's soft edge, where the background is pasted.
    pub fn pasted_feather(&self) -> Option<f64> {
        self.paste.then_some(self.feather)
    }
}

/// The most optimisation steps of a training: years.
pub const MOST_STEPS: usize = 1_000_000_000;

/// The most examples, pictures or masks that are computed together.
pub const MOST_BATCH: usize = 1024;

/// The most batches whose gradients make one step.
pub const MOST_ACCUMULATE: usize = 1024;

/// The most rows of an embedding; prompts have room for fewer.
const MOST_TOKENS: usize = 1024;

/// More than a few-shot data set has pairs.
pub const MOST_LOOKS: usize = 1024;

/// The largest magnification. Beyond, a picture of 512 pixels would be a blur of 64.
pub const MOST_CLOSE_UP: f64 = 8.0;

/// The magnification that runs and pairs without one were made with.
pub(in crate::anomaly) fn whole_picture() -> f64 {
    1.0
}

fn gaussian_noise() -> f64 {
    1.0
}

/// Every setting of the method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preset {
    /// Which preset this started from.
    pub name: PresetName,
    /// k, rows of each anomaly embedding e_a.
    pub anomaly_tokens: usize,
    /// n, rows of the spatial embedding e_s.
    pub spatial_tokens: usize,
    /// How many looks a type has at most; 0 for none, as for runs that do not say. See [`Learned`](crate::anomaly::learned::Learned).
    #[serde(default)]
    pub looks: usize,
    /// k', rows of a mask embedding e_m.
    pub mask_tokens: usize,
    /// How embeddings become context.
    pub conditioning: ConditioningMode,
    /// What embeddings start from.
    pub initial_word: InitialWord,
    /// Prompt templates.
    pub templates: TemplateSet,
    /// The spatial encoder.
    pub encoder: EncoderKind,
    /// The spatial encoder's batch norm.
    pub batch_norm: BatchNormPolicy,
    /// How masks of pixels become masks of latent cells.
    pub cells: CellRule,
    /// How many times a defect is magnified at most where it is learned and drawn; 1 is whole pictures, as for runs that do not say.
    #[serde(default = "whole_picture")]
    pub close_up: f64,
    /// Training.
    pub training: TrainingPreset,
    /// Generation.
    pub generation: GenerationPreset,
}

/// Refuses a number that is not in `1..=most`.
fn check_count(value: usize, most: usize, what: &str) -> Result<()> {
    if value == 0 || value > most {
        invalid_input!("{what}: expected 1 to {most}, found {value}");
    }
    Ok(())
}

impl Preset {
    /// The numbers of a preset.
    pub fn new(name: PresetName) -> Self {
        match name {
            PresetName::Default => values::default(),
            PresetName::Paper => values::paper(),
            PresetName::Official => values::official(),
        }
    }

    /// Refuses numbers that cannot work; `--flag` names stand where the command line sets them.
    pub fn check(&self) -> Result<()> {
        let training = &self.training;
        for (value, most, what) in [
            (self.anomaly_tokens, MOST_TOKENS, "anomaly tokens (k)"),
            (self.spatial_tokens.max(usize::from(self.encoder == EncoderKind::None)), MOST_TOKENS, "spatial tokens (n)"),
            (training.steps, MOST_STEPS, "--steps of training"),
            (training.batch_size, MOST_BATCH, "--batch-size"),
            (self.generation.steps, MOST_STEPS, "--steps of generation"),
        ] {
            check_count(value, most, what)?;
        }
        if self.encoder == EncoderKind::None && self.spatial_tokens > 0 {
            invalid_input!("spatial tokens (n): expected 0 without a spatial encoder, found {}", self.spatial_tokens);
        }
        if self.looks > MOST_LOOKS {
            invalid_input!("--looks: expected at most {MOST_LOOKS}, found {}", self.looks);
        }
        if !(1.0..=MOST_CLOSE_UP).contains(&self.close_up) {
            invalid_input!("--close-up: expected 1 (whole pictures) to {MOST_CLOSE_UP}, found {}", self.close_up);
        }
        if self.close_up > 1.0 && training.augmentation == AugmentationKind::Batch {
            invalid_input!(
                "--close-up {}: the released program's augmentation cuts its own crops; leave it at 1 with --preset official",
                self.close_up
            );
        }
        let optimizer = &training.optimizer;
        for (rate, what) in [(optimizer.learning_rate, "--learning-rate"), (optimizer.encoder_factor, "the encoder's learning rate factor")] {
            if !(rate.is_finite() && rate > 0.0) {
                invalid_input!("{what}: expected a positive number, found {rate}");
            }
        }
        let generation = &self.generation;
        if !(0.0..=1.0).contains(&generation.eta) {
            invalid_input!("--eta: expected 0 to 1, found {}", generation.eta);
        }
        if !(generation.guidance.is_finite() && generation.guidance >= 0.0) {
            invalid_input!("--guidance: expected 0 or more, found {}", generation.guidance);
        }
        if !(0.0..=1.0).contains(&generation.coarse_noise) {
            invalid_input!("--coarse-noise: expected 0 to 1, found {}", generation.coarse_noise);
        }
        Ok(())
    }
}
