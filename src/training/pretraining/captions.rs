//! The second stage: the text encoder learns to foresee from a caption what its picture's latent looks like from afar.
//!
//! Stable Diffusion begins with a text encoder that was trained on pictures (CLIP) and keeps it frozen. Trained together with the UNet from random
//! values, as latent diffusion's first models were, it needs far more steps than there are here: the position embeddings and layers drown the words,
//! and the UNet learns to do without captions (measured after 7000 steps: the mean of a caption's context explained 5 % of its picture's mean colour,
//! the bag of its words 45 %; exchanged captions did not raise the loss). After this stage, of a minute or two, the UNet follows captions within its
//! first hundred steps.

use super::latents::Latents;
use super::recipe::TextRecipe;
use super::start;
use crate::autograd::Var;
use crate::error::{Result, ensure};
use crate::models::base::BaseModel;
use crate::models::clip::{ClipTextConfig, ClipTextModel};
use crate::nn::{Linear, ParameterSet, ParameterSource, Path, RandomInit};
use crate::ops;
use crate::tensor::Tensor;
use crate::tensor::random::Sampler;
use crate::training::fit::{Loss, Task};
use crate::training::progress::note;
use crate::training::recorder::Recorder;

/// The text encoder in training, with the layer that reads the outline off its output; that layer is not part of the model.
pub struct TextStage {
    recipe: TextRecipe,
    seed: u64,
    text_encoder: ClipTextModel,
    text_parameters: ParameterSet,
    reader: Linear,
    reader_parameters: ParameterSet,
}

/// The stage as the training loop sees it.
pub struct TextTask<'a> {
    /// What is trained.
    pub stage: &'a TextStage,
    /// Pictures and captions.
    pub latents: &'a Latents,
    /// What it has to foresee.
    pub outlines: Outlines,
}

/// Every how manyth picture is kept for validation.
const HELD_OUT_EVERY: usize = 16;

impl Task for TextTask<'_> {
    fn loss(&mut self, step: u64, _part: usize) -> Result<Loss> {
        let TextStage { recipe, seed, .. } = self.stage;
        let mut order = Sampler::new(*seed, "pretraining captions", &[step]);
        let count = self.latents.count();
        let mut pictures = Vec::with_capacity(recipe.batch);
        while pictures.len() < recipe.batch {
            let picture = order.below(count);
            if !picture.is_multiple_of(HELD_OUT_EVERY) {
                pictures.push(picture);
            }
        }
        Ok(self.stage.error(self.latents, &self.outlines, &pictures)?.into())
    }

    /// The share of the outlines' variance that captions of held-out pictures leave unexplained.
    fn validate(&mut self, step: u64, recorder: &mut Recorder) -> Result<()> {
        let pictures: Vec<usize> = (0..self.latents.count()).step_by(HELD_OUT_EVERY).collect();
        let error = f64::from(self.stage.error(self.latents, &self.outlines, &pictures)?.item()?);
        recorder.scalars(step, "validation", vec![("unexplained".to_owned(), error)]);
        note(&format!(
            "text encoder, step {step}: captions leave {:.0} % of the outlines of {} held-out pictures unexplained",
            100.0 * error,
            pictures.len()
        ));
        Ok(())
    }
}

impl TextStage {
    /// A network with all parameters trainable, its first values from `source`, for outlines of `width` numbers.
    pub fn new(recipe: &TextRecipe, config: &ClipTextConfig, width: usize, seed: u64, source: &dyn ParameterSource) -> Result<Self> {
        let path = Path::root(source);
        let text_encoder = ClipTextModel::new(&path, config)?;
        let parameters = path.parameters();
        start::tell_words_apart(&parameters)?;
        Self::reading(recipe, (text_encoder, parameters), width, seed, source)
    }

    /// The text encoder of a finished model, for outlines of `width` numbers.
    pub fn of(recipe: &TextRecipe, base: &BaseModel, width: usize, seed: u64) -> Result<Self> {
        let text_encoder = (base.text_encoder.clone(), base.details.text_encoder.parameters.clone());
        Self::reading(recipe, text_encoder, width, seed, &RandomInit { seed })
    }

    /// That text encoder, trainable, with a new layer to read outlines off it.
    fn reading(
        recipe: &TextRecipe,
        (text_encoder, text_parameters): (ClipTextModel, ParameterSet),
        width: usize,
        seed: u64,
        source: &dyn ParameterSource,
    ) -> Result<Self> {
        let path = Path::root(source);
        let reader = Linear::new(&path.child("outline"), text_encoder.config().hidden_size, width)?;
        let reader_parameters = path.parameters();
        text_parameters.set_trainable(true);
        reader_parameters.set_trainable(true);
        Ok(Self { recipe: recipe.clone(), seed, text_encoder, text_parameters, reader, reader_parameters })
    }

    /// What is trained here.
    pub fn parameters(&self) -> ParameterSet {
        self.text_parameters.clone().join(self.reader_parameters.clone())
    }

    /// The text encoder and its parameters, frozen.
    pub fn finish(self) -> (ClipTextModel, ParameterSet) {
        self.text_parameters.set_trainable(false);
        (self.text_encoder, self.text_parameters)
    }

    /// Mean squared error, shape `[]`, of the outlines of `pictures` as read off the mean of their captions' contexts: uniform attention over a
    /// context, with which a UNet's cross-attention begins, sees the same mean.
    fn error(&self, latents: &Latents, outlines: &Outlines, pictures: &[usize]) -> Result<Var> {
        let (mut captions, mut targets) = (Vec::new(), Vec::new());
        for &picture in pictures {
            captions.extend_from_slice(latents.caption(picture)?);
            targets.extend_from_slice(outlines.of(picture));
        }
        let [batch, tokens] = [pictures.len(), captions.len() / pictures.len().max(1)];
        let context = self.text_encoder.forward(&Tensor::from_i32(captions, &[batch, tokens])?)?;
        let width = context.dim(2);
        let mean = ops::area_pool(&ops::reshape(&context, &[batch, tokens, 1, width])?, 1, 1)?;
        let read = self.reader.forward(&ops::reshape(&mean, &[batch, width])?)?;
        ops::mse(&read, &Tensor::from_f32(targets, &[batch, outlines.width])?.to_device(read.device())?)
    }
}

/// What each latent looks like from afar: the means of `cells` x `cells` equal parts and the deviation of each channel, every number shifted and
/// scaled to mean 0 and variance 1 over all pictures.
pub struct Outlines {
    width: usize,
    values: Vec<f32>,
}

impl Outlines {
    /// How many numbers an outline has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The outlines of all `latents`.
    ///
    /// # Errors
    /// When their side is no multiple of `cells`.
    pub fn new(latents: &Latents, cells: usize) -> Result<Self> {
        let (side, channels) = (latents.side(), latents.channels());
        ensure!(cells > 0 && side.is_multiple_of(cells), "outlines of {cells}x{cells} parts of latents of {side}x{side} cells");
        let width = (cells * cells + 1) * channels;
        let mut values = Vec::with_capacity(latents.count() * width);
        let mut latent = Vec::new();
        for picture in 0..latents.count() {
            latent.clear();
            latents.append(picture, 1.0, &mut latent)?;
            values.extend(outline(&latent, side, channels, cells));
        }
        standardise(&mut values, width);
        Ok(Self { width, values })
    }

    fn of(&self, picture: usize) -> &[f32] {
        &self.values[picture * self.width..(picture + 1) * self.width]
    }
}

fn outline(latent: &[f32], side: usize, channels: usize, cells: usize) -> Vec<f32> {
    let part = side / cells;
    let mut means = vec![0.0; cells * cells * channels];
    let (mut sums, mut squares) = (vec![0.0_f64; channels], vec![0.0_f64; channels]);
    for (position, values) in latent.chunks_exact(channels).enumerate() {
        let cell = position / side / part * cells + position % side / part;
        for (channel, &value) in values.iter().enumerate() {
            means[cell * channels + channel] += value / (part * part) as f32;
            sums[channel] += f64::from(value);
            squares[channel] += f64::from(value).powi(2);
        }
    }
    let count = (side * side) as f64;
    let deviation = |(sum, square): (&f64, &f64)| (square / count - (sum / count).powi(2)).max(0.0).sqrt() as f32;
    means.extend(sums.iter().zip(&squares).map(deviation));
    means
}

/// Shifts and scales each of `width` columns to mean 0 and variance 1; a constant column becomes 0.
fn standardise(values: &mut [f32], width: usize) {
    let count = (values.len() / width).max(1) as f64;
    for column in 0..width {
        let of_column = || values.iter().skip(column).step_by(width).map(|&value| f64::from(value));
        let mean = of_column().sum::<f64>() / count;
        let deviation = (of_column().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let factor = if deviation > 1e-6 { 1.0 / deviation } else { 0.0 };
        values.iter_mut().skip(column).step_by(width).for_each(|value| *value = ((f64::from(*value) - mean) * factor) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_has_the_means_of_parts_and_the_deviation() {
        let latent: Vec<f32> = (0..16).map(|value| value as f32).collect();
        let found = outline(&latent, 4, 1, 2);
        assert_eq!(found[..4], [2.5, 4.5, 10.5, 12.5]);
        assert!((found[4] - (255.0_f32 / 12.0).sqrt()).abs() < 1e-5, "{}", found[4]);
    }

    #[test]
    fn standardised_columns_have_mean_0_and_variance_1() {
        let mut values = vec![1.0, 5.0, 3.0, 5.0];
        standardise(&mut values, 2);
        assert_eq!(values, [-1.0, 0.0, 1.0, 0.0], "the second column is constant");
    }
}
