//! What a base model draws for the captions that `anodiff pretrain` previews, sixteen pictures in one PNG: how weights/README.md's samples were made.
//!
//!     cargo run --release --example samples -- MODEL FILE.png [GUIDANCE [STEPS]]

use std::path::PathBuf;

use anodiff::diffusion::Schedule;
use anodiff::error::{Context, Result};
use anodiff::models::base::BaseModel;
use anodiff::nn::Placement;
use anodiff::training::pretraining::preview::Sampling;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let (model, file) = next().zip(next()).context("samples MODEL FILE.png [GUIDANCE [STEPS]]")?;
    let guidance: f64 = next().map_or(Ok(2.0), |text| text.parse().context("GUIDANCE"))?;
    let steps: usize = next().map_or(Ok(50), |text| text.parse().context("STEPS"))?;
    let base = BaseModel::load(Some(&PathBuf::from(model)), Placement::HOST)?;
    let schedule = Schedule::of(&base)?;
    let sampling = Sampling {
        vae: &base.vae,
        scale: base.vae.config().scaling_factor,
        unet: &base.unet,
        text_encoder: &base.text_encoder,
        tokenizer: &base.tokenizer,
        schedule: &schedule,
    };
    sampling.draw(base.resolution() / base.vae.downscale(), steps, guidance)?.save(&PathBuf::from(file))
}
