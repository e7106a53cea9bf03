//! The first stage: the autoencoder learns to compress crops and to give them back sharp.

use std::path::PathBuf;

use rayon::prelude::*;

use super::preview;
use super::recipe::AutoencoderRecipe;
use super::start;
use crate::autograd::Var;
use crate::data::picture::Picture;
use crate::data::pretraining::{self, Framing};
use crate::data::rectangle::Rectangle;
use crate::error::Result;
use crate::models::vae::{AutoencoderKl, VaeConfig};
use crate::nn::{ParameterSet, ParameterSource, Path};
use crate::ops;
use crate::tensor::Tensor;
use crate::tensor::random::{Sampler, Stream};
use crate::training::fit::{Loss, Task};
use crate::training::progress::note;
use crate::training::recorder::Recorder;

/// The autoencoder in training.
pub struct AutoencoderStage {
    recipe: AutoencoderRecipe,
    seed: u64,
    vae: AutoencoderKl,
    parameters: ParameterSet,
}

/// The stage as the training loop sees it.
pub struct AutoencoderTask<'a> {
    /// What is trained.
    pub stage: &'a AutoencoderStage,
    /// Folder for pictures.
    pub previews: PathBuf,
}

impl Task for AutoencoderTask<'_> {
    fn loss(&mut self, step: u64, _part: usize) -> Result<Loss> {
        self.stage.loss(step)
    }

    /// Originals and reconstructions of held-out pictures, and their PSNR in dB.
    fn validate(&mut self, step: u64, recorder: &mut Recorder) -> Result<()> {
        let size = self.stage.recipe.picture;
        let (picture, ratio) = preview::reconstructions(self.stage.vae(), size, PREVIEW_PICTURES)?;
        picture.save(&self.previews.join(format!("reconstructions-{step:06}.png")))?;
        recorder.scalars(step, "validation", vec![("psnr".to_owned(), ratio)]);
        note(&format!("autoencoder, step {step}: PSNR {ratio:.2} dB over {PREVIEW_PICTURES} held-out pictures of {size} pixels"));
        Ok(())
    }
}

/// Held-out pictures of a validation.
const PREVIEW_PICTURES: usize = 16;

/// Rows that turn an RGB error into one of lightness and two of colour. Pictures differ far more in lightness, and a network learns that alone for
/// a long time, unless errors of colour weigh more.
fn opponent_colors() -> Result<Tensor> {
    const COLOR_WEIGHT: f32 = 1.5;
    let (third, half, sixth) = (1.0 / 3_f32.sqrt(), COLOR_WEIGHT / 2_f32.sqrt(), COLOR_WEIGHT / 6_f32.sqrt());
    Tensor::from_f32(vec![third, third, third, half, 0.0, -half, sixth, -2.0 * sixth, sixth], &[3, 3])
}

/// The least that the posterior's log variance can be: a deviation of 3e-7.
const SETTLED_LOG_VARIANCE: f32 = -30.0;

/// Weight of the mean squared error beside the mean absolute one: it punishes the few large errors.
const SQUARED_WEIGHT: f32 = 1.0;

impl AutoencoderStage {
    /// A network with all parameters trainable, its first values from `source`.
    pub fn new(recipe: &AutoencoderRecipe, config: &VaeConfig, seed: u64, source: &dyn ParameterSource) -> Result<Self> {
        let path = Path::root(source);
        let vae = AutoencoderKl::new(&path, config)?;
        let parameters = path.parameters();
        parameters.set_trainable(true);
        start::pass_colors(&parameters, config.latent_channels)?;
        Ok(Self { recipe: recipe.clone(), seed, vae, parameters })
    }

    /// The network.
    pub fn vae(&self) -> &AutoencoderKl {
        &self.vae
    }

    /// Its parameters.
    pub fn parameters(&self) -> &ParameterSet {
        &self.parameters
    }

    /// Takes the posterior's noise away for good: it taught the decoder to bear a diffusion model's small errors; the finished model's latents are the
    /// means, on which the UNet is trained, so that a draw from the posterior is one, too, as good as for Stable Diffusion's.
    pub(super) fn settle(&self) -> Result<()> {
        let channels = self.vae.config().latent_channels;
        self.parameters.iter().try_for_each(|parameter| {
            let settled = match parameter.name() {
                "quant_conv.weight" => 0.0,
                "quant_conv.bias" => SETTLED_LOG_VARIANCE,
                _ => return Ok(()),
            };
            // The second half of the rows is the log variance.
            let row = parameter.value().elements() / (2 * channels);
            parameter.update(|values| values[channels * row..].fill(settled))
        })
    }

    /// The loss on step `step`'s own pictures: a pure function of the parameters, the seed and the step.
    pub fn loss(&self, step: u64) -> Result<Loss> {
        let device = self.vae.placement().device;
        let image = Var::constant(self.batch(step)?.to_device(device)?);
        let posterior = self.vae.encode(&image)?;
        let stream = Stream::new(self.seed, "pretraining autoencoder posterior", &[step]);
        let noise = ops::normal(&[stream], posterior.mean.shape(), device)?.reshape(posterior.mean.shape())?;
        let decoded = self.vae.decode(&posterior.sample(&noise)?)?;
        let error = ops::sub(&decoded, &image)?;
        let error = ops::linear(&error, &Var::constant(opponent_colors()?.to_device(device)?), None)?;
        let absolute = ops::mean(&ops::abs(&error)?)?;
        let squared = ops::mean(&ops::mul(&error, &error)?)?;
        let gradient = roughness(&error)?;
        let divergence = divergence(&posterior.mean, &posterior.log_variance)?;
        let total = [(&squared, SQUARED_WEIGHT), (&gradient, self.recipe.gradient_weight), (&divergence, self.recipe.divergence_weight)]
            .into_iter()
            .try_fold(absolute.clone(), |sum, (term, weight)| ops::add(&sum, &ops::affine(term, weight, 0.0)?))?;
        let metric = |value: &Var| value.item().map(f64::from);
        let metrics = vec![("absolute", metric(&absolute)?), ("gradient", metric(&gradient)?), ("divergence", metric(&divergence)?)];
        Ok(Loss { value: total, metrics })
    }

    /// Step `step`'s pictures, `[batch, size, size, 3]`: half of them whole small pictures, half crops of large ones, flipped at random; in the
    /// finishing steps fewer, but whole large ones.
    fn batch(&self, step: u64) -> Result<Tensor> {
        let AutoencoderRecipe { batch, crop, picture, steps, finishing_steps, .. } = self.recipe;
        let finishing = step + finishing_steps >= steps;
        // The same number of pixels a step.
        let count = if finishing { (batch * crop * crop / (picture * picture)).max(1) } else { batch };
        let pictures: Vec<Picture> = (0..count)
            .into_par_iter()
            .map(|index| {
                let number = step * batch as u64 + index as u64;
                let mut sampler = Sampler::new(self.seed, "pretraining autoencoder crop", &[number]);
                let whole = if finishing || index % 2 == 0 { picture } else { crop };
                let (mut image, _) = pretraining::example(self.seed, number, whole, Framing::Whole);
                if whole > crop && !finishing {
                    let (left, top) = (sampler.below(whole - crop + 1), sampler.below(whole - crop + 1));
                    image = image.cropped(Rectangle { left, top, width: crop, height: crop });
                }
                flipped(image, &mut sampler)
            })
            .collect();
        Picture::stack(&pictures.iter().collect::<Vec<_>>())
    }
}

/// The picture, mirrored along each axis with probability one half.
fn flipped(mut picture: Picture, sampler: &mut Sampler) -> Picture {
    if sampler.chance(0.5) {
        picture = picture.flipped_horizontally();
    }
    if sampler.chance(0.5) {
        picture = picture.flipped_vertically();
    }
    picture
}

/// Mean |difference of neighbours| of `[batch, height, width, channels]`, along both axes.
pub(super) fn roughness(x: &Var) -> Result<Var> {
    let along = |axis: usize| -> Result<Var> {
        let length = x.dim(axis) - 1;
        let difference = ops::sub(&ops::narrow(x, axis, 1, length)?, &ops::narrow(x, axis, 0, length)?)?;
        ops::mean(&ops::abs(&difference)?)
    };
    ops::affine(&ops::add(&along(1)?, &along(2)?)?, 0.5, 0.0)
}

/// Mean over the latent's numbers of (mean² + variance - 1 - log variance) / 2.
pub(super) fn divergence(mean: &Var, log_variance: &Var) -> Result<Var> {
    let spread = ops::sub(&ops::exp(log_variance)?, log_variance)?;
    let sum = ops::add(&ops::mul(mean, mean)?, &spread)?;
    ops::affine(&ops::mean(&sum)?, 0.5, -0.5)
}

/// Peak signal-to-noise ratio in dB of pictures in [-1, 1].
pub fn peak_signal_to_noise(found: &Tensor, expected: &Tensor) -> Result<f64> {
    let (found, expected) = (found.to_f32_vec()?, expected.to_f32_vec()?);
    let squares: f64 = found.iter().zip(expected.iter()).map(|(a, b)| f64::from(a.clamp(-1.0, 1.0) - b).powi(2)).sum();
    Ok(10.0 * (4.0 * expected.len() as f64 / squares.max(f64::MIN_POSITIVE)).log10())
}
