//! The numbers of each preset.

use super::{
    AugmentationKind, BatchNormPolicy, ConditioningMode, EncoderKind, GenerationPreset, InitialWord, LatentDraw, LossMean, Optimizer, Preset,
    PresetName, TrainingPreset,
};
use crate::anomaly::reweighting::{Mode, Reweighting};
use crate::anomaly::templates::TemplateSet;
use crate::data::mask::CellRule;

pub(super) fn default() -> Preset {
    Preset {
        name: PresetName::Default,
        anomaly_tokens: 4,
        spatial_tokens: 4,
        looks: 16,
        mask_tokens: 4,
        conditioning: ConditioningMode::Text,
        initial_word: InitialWord::TypeName,
        templates: TemplateSet::Inspection,
        encoder: EncoderKind::ResnetFpn,
        batch_norm: BatchNormPolicy::Measured,
        cells: CellRule::Any,
        close_up: 3.0,
        training: TrainingPreset {
            steps: 2000,
            batch_size: 4,
            optimizer: Optimizer {
                learning_rate: 5e-3,
                encoder_factor: 0.2,
                warmup_steps: 20,
                cosine: true,
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-8,
                weight_decay: 1e-2,
                clip_norm: Some(1.0),
                absent_types_move: false,
            },
            masked_loss: true,
            loss_mean: LossMean::MaskArea,
            latent: LatentDraw::Sample,
            augmentation: AugmentationKind::Sample,
        },
        generation: GenerationPreset {
            steps: 50,
            // Measured on the demo with the embedded model: docs/generation.md.
            eta: 0.0,
            guidance: 2.0,
            coarse_noise: 1.0,
            reweighting: Reweighting::new(Mode::Default),
            latent: LatentDraw::Mode,
            last_blend: true,
            paste: true,
            feather: 1.0 / 64.0,
        },
    }
}

pub(super) fn paper() -> Preset {
    let base = default();
    let optimizer = Optimizer { clip_norm: None, warmup_steps: 0, cosine: false, weight_decay: 0.0, ..base.training.optimizer };
    Preset {
        name: PresetName::Paper,
        anomaly_tokens: 8,
        spatial_tokens: 4,
        looks: 0,
        mask_tokens: 4,
        initial_word: InitialWord::Word("anomaly".into()),
        batch_norm: BatchNormPolicy::Batch,
        close_up: 1.0,
        training: TrainingPreset { optimizer, loss_mean: LossMean::Elements, ..base.training },
        generation: GenerationPreset {
            steps: 200,
            eta: 1.0,
            guidance: 1.0,
            coarse_noise: 1.0,
            reweighting: Reweighting::new(Mode::Paper),
            latent: LatentDraw::Sample,
            last_blend: false,
            paste: false,
            ..base.generation
        },
        ..base
    }
}

pub(super) fn official() -> Preset {
    Preset {
        name: PresetName::Official,
        anomaly_tokens: 4,
        spatial_tokens: 4,
        looks: 0,
        mask_tokens: 16,
        conditioning: ConditioningMode::Text,
        initial_word: InitialWord::Word("anomaly".into()),
        templates: TemplateSet::ImageNet,
        encoder: EncoderKind::Psp,
        batch_norm: BatchNormPolicy::Always,
        cells: CellRule::Official,
        close_up: 1.0,
        training: TrainingPreset {
            steps: 300_000,
            batch_size: 4,
            optimizer: Optimizer {
                learning_rate: 2e-2,
                encoder_factor: 1.0,
                warmup_steps: 0,
                cosine: false,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.0,
                clip_norm: None,
                absent_types_move: true,
            },
            masked_loss: true,
            loss_mean: LossMean::Elements,
            latent: LatentDraw::Sample,
            augmentation: AugmentationKind::Batch,
        },
        generation: GenerationPreset {
            steps: 200,
            eta: 1.0,
            guidance: 1.0,
            coarse_noise: 1.0,
            // The released program leaves re-weighting off unless asked; `--reweight official` asks.
            reweighting: Reweighting::new(Mode::Off),
            latent: LatentDraw::Sample,
            last_blend: false,
            paste: false,
            feather: 0.0,
        },
    }
}
