//! Pictures to look at during a run: reconstructions and samples.

use super::autoencoder::peak_signal_to_noise;
use crate::autograd::Var;
use crate::data::picture::Picture;
use crate::data::pretraining::{self, Framing};
use crate::device::Device;
use crate::diffusion::{Schedule, ddim, guide};
use crate::error::Result;
use crate::models::clip::ClipTextModel;
use crate::models::tokenizer::ClipTokenizer;
use crate::models::unet::Unet;
use crate::models::vae::AutoencoderKl;
use crate::ops;
use crate::tensor::Tensor;
use crate::tensor::random::Stream;

/// Captions of the samples.
pub const CAPTIONS: [&str; 16] = [
    "a photo of a blue woven fabric",
    "a photo of a brushed steel plate on a black background",
    "a photo of a red plastic ring on a white background with a dark scratch",
    "a photo of a grained oak wood",
    "a photo of a white ceramic disc on a blue background",
    "a close-up photo of a speckled granite with a large red stain",
    "a photo of a yellow plastic capsule on a gray background",
    "a photo of a black rubber ring on a white background",
    "a photo of a brushed copper with a large dark scratch",
    "a photo of a green plastic sheet with a large dark hole",
    "a photo of a white tiled wall with a dark crack",
    "a photo of a cast iron surface with rust",
    "a photo of a beige woven cloth with a large red thread",
    "a photo of a white plastic plate on a black background with blue ink dots",
    "a photo of an orange plastic nut on a gray background",
    "a white stain on a black background",
];

/// Pictures of other series than the training's: this seed is never trained on.
const HELD_OUT_SEED: u64 = 0x4845_4C44_4F55_5421;

/// Originals above their reconstructions, and the mean PSNR in dB of `count` held-out pictures of `size` pixels.
pub fn reconstructions(vae: &AutoencoderKl, size: usize, count: usize) -> Result<(Picture, f64)> {
    let (mut tiles, mut decoded_tiles, mut total) = (Vec::new(), Vec::new(), 0.0);
    for index in 0..count {
        let (picture, _) = pretraining::example(HELD_OUT_SEED, index as u64, size, Framing::Whole);
        let image = Picture::stack(&[&picture])?;
        let decoded = vae.decode(&vae.encode(&Var::constant(image.clone()))?.mode())?.to_device(Device::Cpu)?;
        total += peak_signal_to_noise(&decoded, &image)?;
        decoded_tiles.push(Picture::from_tensor(&decoded.reshape(&decoded.shape()[1..])?)?);
        tiles.push(picture);
    }
    let columns = 8;
    let rows = tiles.chunks(columns).zip(decoded_tiles.chunks(columns)).flat_map(|(above, below)| [above, below]);
    Ok((mosaic(&rows.map(|row| row.iter().collect()).collect::<Vec<Vec<&Picture>>>()), total / count as f64))
}

/// What is needed to draw samples.
pub struct Sampling<'a> {
    /// Decodes.
    pub vae: &'a AutoencoderKl,
    /// Its latents' unit.
    pub scale: f64,
    /// Predicts velocities.
    pub unet: &'a Unet,
    /// Encodes captions.
    pub text_encoder: &'a ClipTextModel,
    /// Tokenises them.
    pub tokenizer: &'a ClipTokenizer,
    /// The noise process.
    pub schedule: &'a Schedule,
}

impl Sampling<'_> {
    /// One sample for each of [`CAPTIONS`], `side` latent cells wide, eight in a row.
    pub fn draw(&self, side: usize, steps: usize, guidance: f64) -> Result<Picture> {
        let empty = self.context("")?;
        let steps = ddim::steps(self.schedule, steps)?;
        let all_times = self.unet.prepare_times(&ddim::timesteps(&steps)?)?;
        let mut tiles = Vec::new();
        for (index, caption) in CAPTIONS.iter().enumerate() {
            let context = self.context(caption)?;
            let both = self.unet.prepare_context(&ops::concat(&[&empty, &context], 0)?)?;
            let channels = self.unet.config().in_channels;
            let stream = Stream::new(0, "pretraining sample", &[index as u64]);
            let mut latent = ops::normal(&[stream], &[side, side, channels], self.unet.placement().device)?;
            for (number, step) in steps.iter().enumerate() {
                let twice = Var::constant(latent.clone());
                let twice = ops::concat(&[&twice, &twice], 0)?;
                let times = all_times.at(&Tensor::from_i32(vec![number as i32; 2], &[2])?.to_device(latent.device())?)?;
                let predicted = self.unet.forward_prepared(&twice, &times, &both, None)?;
                let (without, with) = (ops::narrow(&predicted, 0, 0, 1)?, ops::narrow(&predicted, 0, 1, 1)?);
                let output = guide(without.tensor(), with.tensor(), guidance)?;
                latent = step.update(&output, &latent, 0.0, &latent)?;
            }
            let decoded = self.vae.decode_scaled(&Var::constant(latent), (1.0 / self.scale) as f32)?.to_device(Device::Cpu)?;
            tiles.push(Picture::from_tensor(&decoded.reshape(&decoded.shape()[1..])?)?);
        }
        Ok(mosaic(&tiles.chunks(8).map(|row| row.iter().collect()).collect::<Vec<_>>()))
    }

    fn context(&self, caption: &str) -> Result<Var> {
        let ids = self.tokenizer.encode(caption)?;
        let length = ids.len();
        Ok(self.text_encoder.forward(&Tensor::from_i32(ids, &[1, length])?)?.detach())
    }
}

/// Rows of pictures of one size, two black pixels apart.
fn mosaic(rows: &[Vec<&Picture>]) -> Picture {
    const GAP: usize = 2;
    let (width, height) = rows.first().and_then(|row| row.first()).map_or((1, 1), |first| (first.width() + GAP, first.height() + GAP));
    let columns = rows.iter().map(Vec::len).max().unwrap_or(1);
    let mut pixels = vec![-1.0; 3 * columns * width * rows.len().max(1) * height];
    for (row, tiles) in rows.iter().enumerate() {
        for (column, tile) in tiles.iter().enumerate() {
            for (y, line) in tile.pixels().chunks(3 * tile.width()).enumerate() {
                let start = 3 * ((row * height + y) * columns * width + column * width);
                for (target, value) in pixels[start..start + line.len()].iter_mut().zip(line) {
                    *target = value.clamp(-1.0, 1.0);
                }
            }
        }
    }
    Picture::from_parts(columns * width, rows.len().max(1) * height, pixels)
}
