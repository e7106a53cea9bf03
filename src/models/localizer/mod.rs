//! The localisation U-Net: DRAEM's discriminative network (Zavrtanik et al., ICCV 2021; `model_unet.py`, `DiscriminativeSubNetwork`), which says for
//! every pixel whether it is normal or part of a defect.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::autograd::Var;
use crate::error::Result;
use crate::invalid_input;
use crate::nn::{BatchNorm2d, Conv2d, Init, ParameterSource, Path, RandomInit};
use crate::ops::{self, Conv2dOptions, Source};
use crate::tensor::Tensor;

/// Channels of each encoder stage over the width.
const ENCODER: [usize; 6] = [1, 2, 4, 8, 8, 8];
/// Each decoder stage's name and its channels over the width.
const DECODER: [(&str, usize); 5] = [("_b", 8), ("1", 4), ("2", 2), ("3", 1), ("4", 1)];
/// The sides of a picture must be a multiple of this: five halvings.
pub const SIDE_MULTIPLE: usize = 32;

/// Sizes of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalizerConfig {
    /// Channels of the first stage; DRAEM has 64 (28.4 million numbers, which grow with the square of the width).
    pub width: usize,
}

impl LocalizerConfig {
    /// Refuses widths that make no network or one that fits nowhere.
    pub fn check(&self) -> Result<()> {
        if !(1..=512).contains(&self.width) {
            invalid_input!("a localisation network of width {}: expected 1 to 512 (64 in the paper)", self.width);
        }
        Ok(())
    }
}

/// The network.
///
/// # Shapes
/// Picture in [0, 1] `[batch, height, width, 3]`, sides multiples of [`SIDE_MULTIPLE`], to logits `[batch, height, width, 2]`: normal, defect.
#[derive(Clone, Debug)]
pub struct Localizer {
    encoder: Vec<Pair>,
    decoder: Vec<(Layer, Pair)>,
    head: Conv2d,
}

impl Localizer {
    /// Checkpoint names are DRAEM's: `encoder_segment.blockN.*`, `decoder_segment.{upX,dbX}.*` with X of _b, 1, 2, 3, 4, `decoder_segment.fin_out.0.*`.
    pub fn new(path: &Path, config: &LocalizerConfig) -> Result<Self> {
        config.check()?;
        let (encoder_path, decoder_path) = (path.child("encoder_segment"), path.child("decoder_segment"));
        let mut inputs = 3;
        let mut encoder = Vec::with_capacity(ENCODER.len());
        for (stage, factor) in ENCODER.into_iter().enumerate() {
            let outputs = factor * config.width;
            encoder.push(Pair::new(&encoder_path.child(format!("block{}", stage + 1)), inputs, outputs)?);
            inputs = outputs;
        }
        let mut decoder = Vec::with_capacity(DECODER.len());
        for ((name, factor), skipped) in DECODER.into_iter().zip(ENCODER.into_iter().rev().skip(1)) {
            let outputs = factor * config.width;
            // Child 0 is the upsampling, which has no parameters.
            let up = Layer::new(&decoder_path.child(format!("up{name}")), 1, inputs, outputs)?;
            let joined = outputs + skipped * config.width;
            decoder.push((up, Pair::new(&decoder_path.child(format!("db{name}")), joined, outputs)?));
            inputs = outputs;
        }
        let head = Conv2d::new(&decoder_path.child("fin_out.0"), inputs, 2, 3, Conv2dOptions::new(1, 1))?;
        Ok(Self { encoder, decoder, head })
    }

    /// The logits. `training` as in [`BatchNorm2d::forward`].
    ///
    /// # Errors
    /// When a side is no multiple of [`SIDE_MULTIPLE`] (exit code 2).
    pub fn forward(&self, picture: &Var, training: bool) -> Result<Var> {
        let [_, height, width, _] = picture.dims()?;
        if !height.is_multiple_of(SIDE_MULTIPLE) || !width.is_multiple_of(SIDE_MULTIPLE) || height * width == 0 {
            invalid_input!("the localisation network needs sides that are multiples of {SIDE_MULTIPLE}, found {width}x{height}");
        }
        let mut skips = Vec::with_capacity(DECODER.len());
        let mut x = self.head.placement().enter(picture)?;
        for (stage, layers) in self.encoder.iter().enumerate() {
            if stage > 0 {
                let pooled = ops::max_pool(&x, 2, 2, 0)?;
                skips.push(std::mem::replace(&mut x, pooled));
            }
            x = layers.forward(&x, training)?;
        }
        for ((up, layers), skipped) in self.decoder.iter().zip(skips.iter().rev()) {
            let [_, height, width, _] = x.dims()?;
            let larger = up.forward(&ops::resize_bilinear(&x, 2 * height, 2 * width, true)?, training)?;
            x = layers.forward([&larger, skipped], training)?;
        }
        self.head.forward(&x)
    }
}

/// Convolution 3x3, batch norm, ReLU.
#[derive(Clone, Debug)]
struct Layer {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl Layer {
    /// The convolution is child `position`, the norm the next.
    fn new(path: &Path, position: usize, inputs: usize, outputs: usize) -> Result<Self> {
        let conv = Conv2d::new(&path.child(position), inputs, outputs, 3, Conv2dOptions::new(1, 1))?;
        Ok(Self { conv, norm: BatchNorm2d::new(&path.child(position + 1), outputs, 1e-5)? })
    }

    fn forward<'a>(&self, x: impl Into<Source<'a>>, training: bool) -> Result<Var> {
        ops::relu(&self.norm.forward(&self.conv.forward(x)?, training)?)
    }
}

/// Two layers.
#[derive(Clone, Debug)]
struct Pair([Layer; 2]);

impl Pair {
    fn new(path: &Path, inputs: usize, outputs: usize) -> Result<Self> {
        // Each layer is three modules there: convolution, norm, ReLU.
        Ok(Self([Layer::new(path, 0, inputs, outputs)?, Layer::new(path, 3, outputs, outputs)?]))
    }

    fn forward<'a>(&self, x: impl Into<Source<'a>>, training: bool) -> Result<Var> {
        let [first, second] = &self.0;
        second.forward(&first.forward(x, training)?, training)
    }
}

/// Initial values as DRAEM has them: convolution weights N(0, 0.02²), batch norm weights N(1, 0.02²), batch norm biases 0, convolution biases uniform.
#[derive(Clone, Debug)]
pub struct FreshLocalizer {
    /// Seed of all values.
    pub seed: u64,
}

impl ParameterSource for FreshLocalizer {
    fn fetch(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        const DEVIATION: f32 = 0.02;
        let random = RandomInit { seed: self.seed };
        match (shape.len(), init) {
            (4, _) => random.fetch(name, shape, Init::Normal(DEVIATION)),
            (1, Init::Ones) if name.ends_with(".weight") => {
                let around_zero = random.fetch(name, shape, Init::Normal(DEVIATION))?.to_f32_vec()?;
                Tensor::from_f32(around_zero.into_iter().map(|x| 1.0 + x).collect::<Vec<_>>(), shape)
            }
            _ => random.fetch(name, shape, init),
        }
    }
}
