//! What a pretraining run trains and for how long: every number in one place.

use serde::Serialize;

use super::shapes;
use crate::data::pretraining::Framing;
use crate::error::Result;
use crate::invalid_input;

/// A complete recipe. The networks' shapes are the JSON that the finished model carries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// Its name on the command line.
    pub name: &'static str,
    /// `vae/config.json`; the scaling factor is measured after the first stage.
    pub vae: &'static str,
    /// `unet/config.json`.
    pub unet: &'static str,
    /// `text_encoder/config.json`; the vocabulary's size is filled in.
    pub text_encoder: &'static str,
    /// `scheduler/scheduler_config.json`.
    pub scheduler: &'static str,
    /// First stage.
    pub autoencoder: AutoencoderRecipe,
    /// Second stage.
    pub text: TextRecipe,
    /// Whether a finished model goes through the second stage, too, before its UNet is trained further.
    pub refines_text: bool,
    /// Third stage.
    pub denoiser: DenoiserRecipe,
}

/// Numbers of the first stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AutoencoderRecipe {
    /// Optimiser steps, finishing ones included.
    pub steps: u64,
    /// Steps at the end on whole pictures, while the learning rate falls.
    pub finishing_steps: u64,
    /// Crops a step.
    pub batch: usize,
    /// Side of the crops in pixels.
    pub crop: usize,
    /// Side of the whole pictures in pixels.
    pub picture: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps of its rise.
    pub warm_up: u64,
    /// Decay of the moving average.
    pub average: f64,
    /// Weight of the error's gradient.
    pub gradient_weight: f32,
    /// Weight of the divergence from a standard normal.
    pub divergence_weight: f32,
}

/// Numbers of the second stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextRecipe {
    /// Optimiser steps, finishing ones included.
    pub steps: u64,
    /// Steps at the end while the learning rate falls.
    pub finishing_steps: u64,
    /// Captions a step.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps of its rise.
    pub warm_up: u64,
    /// Decay of the moving average.
    pub average: f64,
    /// Parts, across and down, of the outlines that it learns to foresee.
    pub outline_cells: usize,
}

/// Numbers of the third stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DenoiserRecipe {
    /// Optimiser steps, finishing ones included.
    pub steps: u64,
    /// Steps at the end while the learning rate falls.
    pub finishing_steps: u64,
    /// Steps at the start that are on small pictures alone.
    pub small_steps: u64,
    /// After those, every how many are on small pictures; the others are on large ones.
    pub small_every: u64,
    /// Small latents a step; a step on large ones has a quarter as many.
    pub batch: usize,
    /// Small pictures, `crop` pixels a side, that are encoded once.
    pub small_pictures: usize,
    /// How they are framed, one after the other.
    pub small_framings: &'static [Framing],
    /// Large pictures, twice that, that are encoded once.
    pub large_pictures: usize,
    /// How they are framed, one after the other.
    pub large_framings: &'static [Framing],
    /// Number of the first picture of either size.
    pub first_picture: u64,
    /// Side of a small picture in pixels.
    pub crop: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// The text encoder's learning rate, in parts of that one; with 0 it is frozen.
    pub text_rate: f64,
    /// Steps of its rise.
    pub warm_up: u64,
    /// Decay of the moving average.
    pub average: f64,
    /// Share of captions replaced by the empty one.
    pub empty_captions: f32,
    /// Time steps that are drawn oftener for small pictures.
    pub small_times: Emphasis,
    /// The same for large ones.
    pub large_times: Emphasis,
    /// Limit of the signal-to-noise ratio snr in the velocity loss's weight min(limit + 1, snr + 1) / (snr + 1), after Hang et al. 2023.
    pub snr_limit: f64,
}

/// A part of all time steps, from 0 to 1, that is drawn more densely than the rest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Emphasis {
    /// Where it begins.
    pub from: f32,
    /// Where it ends.
    pub to: f32,
    /// How many times as densely it is drawn.
    pub density: f32,
}

impl Emphasis {
    /// The middle, where colours and the forms of marks are decided.
    const fn middle(density: f32) -> Self {
        Self { from: 0.2, to: 0.8, density }
    }

    /// Maps [0, 1] onto itself such that even draws come out as dense as this says.
    pub fn of(self, position: f32) -> f32 {
        let Self { from, to, density } = self;
        let rest = 1.0 / (density * (to - from) + 1.0 - (to - from));
        let (before, within) = (rest * from, density * rest * (to - from));
        match position {
            early if early < before => early / rest,
            middle if middle < before + within => from + (middle - before) / (density * rest),
            late => to + (late - before - within) / rest,
        }
    }
}

impl Recipe {
    /// The recipe called `name`.
    ///
    /// # Errors
    /// An input error for an unknown name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "tiny" => Ok(Self::tiny()),
            "detail" => Ok(Self::detail()),
            "parts" => Ok(Self::parts()),
            "joint" => Ok(Self::joint()),
            "marks" => Ok(Self::marks()),
            "smoke" => Ok(Self::smoke()),
            other => invalid_input!("--recipe {other}: expected tiny, detail, parts, joint, marks or smoke"),
        }
    }

    /// The embedded base model: 128 pixels, latents of 32x32x4.
    pub fn tiny() -> Self {
        Self {
            name: "tiny",
            vae: shapes::TINY_VAE,
            unet: shapes::TINY_UNET,
            text_encoder: shapes::TINY_TEXT_ENCODER,
            scheduler: shapes::SCHEDULER,
            autoencoder: AutoencoderRecipe {
                steps: 1600,
                finishing_steps: 500,
                batch: 8,
                crop: 64,
                picture: 128,
                learning_rate: 1.2e-3,
                warm_up: 100,
                average: 0.998,
                gradient_weight: 1.0,
                divergence_weight: 0.008,
            },
            text: TextRecipe { steps: 1000, finishing_steps: 400, batch: 64, learning_rate: 2e-3, warm_up: 50, average: 0.99, outline_cells: 4 },
            refines_text: false,
            denoiser: DenoiserRecipe {
                steps: 19_000,
                finishing_steps: 12_000,
                small_steps: 7_000,
                small_every: 2,
                batch: 16,
                small_pictures: 20_000,
                small_framings: &[Framing::Whole, Framing::CloseUp, Framing::CloseUp, Framing::CloseUp],
                large_pictures: 4_000,
                large_framings: &[Framing::Whole],
                first_picture: 1 << 32,
                crop: 64,
                learning_rate: 1e-3,
                text_rate: 0.0,
                warm_up: 200,
                average: 0.999,
                empty_captions: 0.1,
                small_times: Emphasis::middle(2.5),
                large_times: Emphasis::middle(2.5),
                snr_limit: 5.0,
            },
        }
    }

    /// The embedded base model's second part: its UNet on other pictures, half of the small ones framed and marked as masks ask for them later, with the time
    /// steps drawn more evenly.
    pub fn detail() -> Self {
        let tiny = Self::tiny();
        Self {
            name: "detail",
            denoiser: DenoiserRecipe {
                steps: 9_000,
                finishing_steps: 6_000,
                small_steps: 3_000,
                small_framings: &[Framing::Detail, Framing::CloseUp, Framing::Detail, Framing::Whole],
                first_picture: 2 << 32,
                learning_rate: 8e-4,
                small_times: Emphasis::middle(1.5),
                large_times: Emphasis::middle(1.5),
                ..tiny.denoiser
            },
            ..tiny
        }
    }

    /// The embedded base model's third part: its text encoder and its UNet on other pictures once more, most of them large and of whole parts, so that
    /// outlines are learned. The text encoder has to tell the kinds of parts apart, which close-ups do not ask of it. An outline spans hundreds of cells,
    /// over which the noise is averaged away: it is decided at time steps at which little else can be seen yet.
    pub fn parts() -> Self {
        let detail = Self::detail();
        Self {
            name: "parts",
            text: TextRecipe { steps: 1200, finishing_steps: 800, learning_rate: 1e-3, outline_cells: 8, ..detail.text },
            refines_text: true,
            denoiser: DenoiserRecipe {
                steps: 19_500,
                finishing_steps: 15_000,
                small_steps: 0,
                small_every: 6,
                small_pictures: 6_000,
                small_framings: &[Framing::Detail, Framing::CloseUp],
                large_pictures: 9_000,
                large_framings: &[Framing::Part, Framing::Part, Framing::Whole, Framing::Part, Framing::Detail],
                first_picture: 3 << 32,
                large_times: Emphasis { from: 0.55, to: 1.0, density: 3.0 },
                ..detail.denoiser
            },
            ..detail
        }
    }

    /// The embedded base model's fourth part: its text encoder and its UNet together, so that the UNet's errors say which kinds of parts and which marks the
    /// text encoder has to tell apart; on parts in one pose, so that a kind's name says where its outline lies to less than a latent cell.
    pub fn joint() -> Self {
        let parts = Self::parts();
        Self {
            name: "joint",
            refines_text: false,
            denoiser: DenoiserRecipe {
                steps: 13_000,
                finishing_steps: 0,
                text_rate: 0.3,
                large_framings: &[Framing::Posed, Framing::Whole, Framing::Posed, Framing::Detail, Framing::Posed],
                first_picture: 4 << 32,
                large_times: Emphasis { from: 0.35, ..parts.denoiser.large_times },
                ..parts.denoiser
            },
            ..parts
        }
    }

    /// The embedded base model's last part: the same with as many marks in one place as parts, so that words bring marks into pictures, while the
    /// learning rate falls.
    pub fn marks() -> Self {
        let joint = Self::joint();
        Self {
            name: "marks",
            denoiser: DenoiserRecipe {
                steps: 14_000,
                finishing_steps: 10_000,
                large_framings: &[Framing::Posed, Framing::Centered, Framing::Posed, Framing::Centered, Framing::Detail],
                first_picture: 5 << 32,
                ..joint.denoiser
            },
            ..joint
        }
    }

    /// A run of seconds that touches everything.
    pub fn smoke() -> Self {
        let tiny = Self::tiny();
        Self {
            name: "smoke",
            vae: shapes::SMOKE_VAE,
            unet: shapes::SMOKE_UNET,
            text_encoder: shapes::SMOKE_TEXT_ENCODER,
            scheduler: shapes::SCHEDULER,
            autoencoder: AutoencoderRecipe { steps: 6, finishing_steps: 2, batch: 4, crop: 16, picture: 32, warm_up: 2, ..tiny.autoencoder },
            text: TextRecipe { steps: 6, finishing_steps: 2, batch: 4, warm_up: 2, ..tiny.text },
            refines_text: true,
            denoiser: DenoiserRecipe {
                steps: 6,
                finishing_steps: 2,
                small_steps: 4,
                batch: 4,
                small_pictures: 12,
                large_pictures: 4,
                crop: 16,
                text_rate: 0.3,
                warm_up: 2,
                ..tiny.denoiser
            },
        }
    }
}
