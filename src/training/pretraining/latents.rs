//! The pictures of the second and third stage, encoded once: latents and tokenised captions of a fixed number of small and large pictures.

use std::collections::BTreeMap;
use std::path::Path;

use half::f16;
use rayon::prelude::*;
use serde_json::Value;

use crate::autograd::Var;
use crate::data::picture::Picture;
use crate::data::pretraining::{self, Framing};
use crate::device::Storage;
use crate::device::cpu::CpuStorage;
use crate::error::{Result, bail, ensure};
use crate::files;
use crate::models::tokenizer::ClipTokenizer;
use crate::models::vae::AutoencoderKl;
use crate::tensor::{DType, Tensor};
use crate::training::checkpoint::{Checkpoint, Identity};
use crate::training::progress::Progress;
use crate::training::signals;

/// Encoded pictures of one size.
pub struct Latents {
    /// f16 `[pictures, side, side, channels]`, in the autoencoder's own units.
    values: Tensor,
    /// i32 `[pictures, tokens]`.
    captions: Tensor,
}

/// Where a series of pictures starts and which size they have.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Seed of the picture generator.
    pub seed: u64,
    /// Number of the first picture.
    pub first: u64,
    /// How many.
    pub count: usize,
    /// Side in pixels.
    pub size: usize,
    /// How they are framed, one after the other.
    pub framings: &'static [Framing],
}

impl Series {
    /// Its picture `index`, with the caption.
    fn example(&self, index: usize) -> (Picture, String) {
        pretraining::example(self.seed, self.first + index as u64, self.size, self.framings[index % self.framings.len()])
    }
}

/// Pictures that go through the encoder together.
const TOGETHER: usize = 16;

impl Latents {
    /// Draws and encodes the pictures; `progress` hears how many are done.
    pub fn encode(series: Series, vae: &AutoencoderKl, tokenizer: &ClipTokenizer, mut progress: impl FnMut(usize) -> Result<()>) -> Result<Self> {
        let (mut values, mut captions, mut side, mut channels) = (Vec::new(), Vec::new(), 0, 0);
        for start in (0..series.count).step_by(TOGETHER) {
            let examples: Vec<(Picture, String)> =
                (start..series.count.min(start + TOGETHER)).into_par_iter().map(|index| series.example(index)).collect();
            let images = Picture::stack(&examples.iter().map(|(picture, _)| picture).collect::<Vec<_>>())?;
            let latent = vae.encode(&Var::constant(images))?.mode();
            (side, channels) = (latent.dim(1), latent.dim(3));
            values.extend(latent.to_f32_vec()?);
            for (_, caption) in &examples {
                captions.extend(tokenizer.encode(caption)?);
            }
            progress(start + examples.len())?;
        }
        let values = Tensor::from_f32(values, &[series.count, side, side, channels])?.to_dtype(DType::F16)?;
        let tokens = captions.len() / series.count.max(1);
        Self::new(values, Tensor::from_i32(captions, &[series.count, tokens])?)
    }

    /// From the tensors of [`Latents::tensors`].
    pub fn new(values: Tensor, captions: Tensor) -> Result<Self> {
        let ([pictures, height, width, _], [others, _]) = (values.dims()?, captions.dims()?);
        ensure!(pictures == others && height == width, "latents of shape {:?} with captions of shape {:?}", values.shape(), captions.shape());
        Ok(Self { values, captions })
    }

    /// Latents and captions.
    pub fn tensors(&self) -> (&Tensor, &Tensor) {
        (&self.values, &self.captions)
    }

    /// Height and width of a latent in cells.
    pub fn side(&self) -> usize {
        self.values.dim(1)
    }

    /// Numbers a cell.
    pub fn channels(&self) -> usize {
        self.values.dim(3)
    }

    /// How many pictures there are.
    pub fn count(&self) -> usize {
        self.values.dim(0)
    }

    /// The token ids of a picture's caption.
    pub fn caption(&self, picture: usize) -> Result<&[i32]> {
        let tokens = self.captions.dim(1);
        Ok(&self.captions.i32s()?[picture * tokens..(picture + 1) * tokens])
    }

    /// Appends a picture's latent, times `factor`, to `output`.
    pub fn append(&self, picture: usize, factor: f32, output: &mut Vec<f32>) -> Result<()> {
        let [count, height, width, channels] = self.values.dims()?;
        ensure!(picture < count, "picture {picture} of {count}");
        let length = height * width * channels;
        output.extend(halves(&self.values)?[picture * length..(picture + 1) * length].iter().map(|value| value.to_f32() * factor));
        Ok(())
    }

    /// Root of the mean square of all values.
    pub fn root_mean_square(&self) -> Result<f64> {
        let sum: f64 = halves(&self.values)?.iter().map(|value| f64::from(value.to_f32()).powi(2)).sum();
        Ok((sum / self.values.elements() as f64).sqrt())
    }
}

/// Reads the encoded pictures that an earlier start of the run left in `folder`, or draws and encodes them.
///
/// # Errors
/// When the folder holds latents of another autoencoder or series (exit code 2).
pub fn load_or_encode(folder: &Path, series: Series, vae: &AutoencoderKl, tokenizer: &ClipTokenizer) -> Result<Latents> {
    files::create_folder(folder)?;
    let identity = Identity {
        task: format!("latents of {} pictures of {} pixels from number {}", series.count, series.size, series.first),
        base_model: fingerprint(series, vae)?,
        seed: series.seed,
        config: Value::Null,
    };
    if let Some(checkpoint) = Checkpoint::load(folder)? {
        identity.check(&checkpoint.identity)?;
        let find = |name: &str| checkpoint.tensors.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor.clone());
        let (Some(values), Some(captions)) = (find("values"), find("captions")) else { bail!("the latents in {} are incomplete", folder.display()) };
        return Latents::new(values, captions);
    }
    let mut progress = Progress::new(format!("encoding at {} pixels", series.size), "picture", series.count as u64, 0);
    let latents = Latents::encode(series, vae, tokenizer, |done| {
        progress.update(done as u64, "");
        signals::check()
    })?;
    progress.finish();
    let tensors = vec![("values".to_owned(), latents.values.clone()), ("captions".to_owned(), latents.captions.clone())];
    Checkpoint { step: 0, identity, notes: BTreeMap::new(), tensors }.save(folder)?;
    Ok(latents)
}

/// The latents of two pictures, as text: differs when the autoencoder or the generator does.
fn fingerprint(series: Series, vae: &AutoencoderKl) -> Result<String> {
    let pictures: Vec<Picture> = (0..2).map(|index| series.example(index).0).collect();
    let latent = vae.encode(&Var::constant(Picture::stack(&pictures.iter().collect::<Vec<_>>())?))?.mode();
    Ok(format!("{:08x}", crc32fast::hash(&latent.tensor().bytes()?)))
}

fn halves(tensor: &Tensor) -> Result<&[f16]> {
    let Storage::Cpu(CpuStorage::F16(elements)) = tensor.storage() else { bail!("expected latents in f16, found {}", tensor.dtype()) };
    Ok(elements)
}
