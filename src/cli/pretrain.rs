//! `pretrain`: trains a small base model from nothing, or one further, as the one in `weights/tiny/`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::{Globals, numbers, output};
use crate::error::Result;
use crate::invalid_input;
use crate::models::base::BaseModel;
use crate::tensor::DType;
use crate::training::pretraining::Pretraining;
use crate::training::pretraining::recipe::Recipe;
use crate::training::run_folder::RunFolder;

/// Flags of the command.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder for checkpoints, previews and the finished model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// tiny: the embedded base model's first part, about two hours on one core; detail, parts, joint and marks: its others; smoke: seconds, nothing to see
    #[arg(long, default_value = "tiny", value_name = "NAME")]
    recipe: String,
    /// Start with this finished model: its autoencoder stays as it is, its UNet is trained further; so is its text encoder, before the UNet by the recipe
    /// parts, with it by joint and marks
    #[arg(long, value_name = "PATH", conflicts_with_all = ["stage", "steps_vae"])]
    from: Option<PathBuf>,
    /// Go on from the folder's checkpoints
    #[arg(long)]
    resume: bool,
    /// Stop after the autoencoder (vae), or go on with the diffusion model on its latents (all)
    #[arg(long, value_enum, default_value_t = Stage::All)]
    stage: Stage,
    /// Steps of the autoencoder [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = numbers::steps::<u64>, allow_negative_numbers = true)]
    steps_vae: Option<u64>,
    /// Steps of the diffusion model [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = numbers::steps::<u64>, allow_negative_numbers = true)]
    steps_diffusion: Option<u64>,
    /// Pictures a step, at most 1024, in both stages [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = numbers::batch_size, allow_negative_numbers = true)]
    batch_size: Option<usize>,
    /// Steps between two checkpoints
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = numbers::interval, allow_negative_numbers = true)]
    checkpoint_every: u64,
    /// Steps between two previews
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = numbers::interval, allow_negative_numbers = true)]
    preview_every: u64,
}

/// How far a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    Vae,
    All,
}

/// Runs the command.
pub fn run(arguments: &Arguments, globals: &Globals) -> Result<()> {
    let mut recipe = Recipe::named(&arguments.recipe)?;
    if let Some(steps) = arguments.steps_vae {
        recipe.autoencoder.steps = steps;
    }
    if let Some(steps) = arguments.steps_diffusion {
        recipe.denoiser.steps = steps;
    }
    if let Some(batch) = arguments.batch_size {
        (recipe.autoencoder.batch, recipe.denoiser.batch) = (batch, batch);
    }
    let placement = globals.placement()?;
    if placement.dtype != DType::F32 {
        invalid_input!("--dtype {}: a base model is trained in f32", placement.dtype);
    }
    let folder = RunFolder::open(&arguments.out, arguments.resume, &Config { globals, recipe: &recipe })?;
    let run = Pretraining {
        recipe,
        seed: globals.seed,
        folder: folder.path().to_owned(),
        checkpoint_every: arguments.checkpoint_every,
        preview_every: arguments.preview_every,
        device: placement.device,
    };
    if let Some(path) = &arguments.from {
        return finish(&run.refine(&BaseModel::load(Some(path), placement)?)?, globals);
    }
    let autoencoder = run.autoencoder()?;
    if arguments.stage == Stage::Vae {
        return Ok(());
    }
    let denoiser = run.denoiser(autoencoder.vae())?;
    finish(&run.export(&autoencoder, &denoiser)?, globals)
}

fn finish(model: &Path, globals: &Globals) -> Result<()> {
    if globals.json { output::json(&serde_json::json!({ "model": model })) } else { output::line(format!("the model is in {}", model.display())) }
}

/// What the run folder keeps of the settings.
#[derive(Serialize)]
struct Config<'a> {
    globals: &'a Globals,
    recipe: &'a Recipe,
}
