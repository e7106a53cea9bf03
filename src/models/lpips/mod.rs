//! LPIPS (Zhang et al., arXiv 1801.03924), version 0.1 as the `lpips` package has it: how different two pictures look, from the activations of a
//! network trained on ImageNet. Names are torchvision's for that network and the package's for the weights of its layers.

mod backbone;
#[cfg(test)]
mod tests;

use std::path::Path as FilePath;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, ensure};
use crate::invalid_input;
use crate::nn::{Init, Path, Placement};
use crate::ops::parallel;
use crate::tensor::Tensor;
use crate::weights::Archive;
use backbone::Backbone;

/// Which network the activations are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// VGG16, which IC-LPIPS is reported with.
    Vgg,
    /// AlexNet.
    Alex,
}

impl Network {
    /// The name on the command line and in protocol ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vgg => "vgg",
            Self::Alex => "alex",
        }
    }

    /// Reads `vgg | alex`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "vgg" => Ok(Self::Vgg),
            "alex" => Ok(Self::Alex),
            other => invalid_input!("--lpips-network {other}: expected vgg or alex"),
        }
    }
}

/// What the package's `ScalingLayer` subtracts and divides by: ImageNet's statistics for pictures in [-1, 1].
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];
/// Added to the length of a pixel's activations.
const EPSILON: f32 = 1e-10;

/// The metric: a frozen network and a weight for each channel of five of its layers. The network computes where its parameters are; what it makes of a
/// picture is kept and compared in host memory, which has room for all pictures of a type.
#[derive(Clone, Debug)]
pub struct Lpips {
    backbone: Backbone,
    /// One for each channel, at least 0.
    weights: Vec<Vec<f32>>,
}

/// A picture as the metric sees it: activations of unit length at each pixel, layer by layer. About 31 MB at 256 x 256 pixels with VGG16.
#[derive(Clone, Debug)]
pub struct Appearance {
    layers: Vec<Vec<f32>>,
}

impl Lpips {
    /// Checkpoint names: `features.N.weight`, `features.N.bias` (torchvision) and `linN.model.1.weight` (lpips).
    pub fn new(path: &Path, network: Network) -> Result<Self> {
        let backbone = Backbone::new(&path.child("features"), network)?;
        let weight = |(layer, channels): (usize, usize)| {
            let path = path.child(format!("lin{layer}")).child("model").child(1);
            path.parameter("weight", &[1, channels, 1, 1], Init::Constant(1.0 / channels as f32))?.value().to_f32_vec()
        };
        let weights = backbone.channels().into_iter().enumerate().map(weight).collect::<Result<_>>()?;
        Ok(Self { backbone, weights })
    }

    /// Reads a safetensors file with the weights of both packages under their own names onto a device, in f32.
    ///
    /// # Errors
    /// When the file cannot be read or is of another network (exit code 2).
    pub fn load(path: &FilePath, network: Network, device: Device) -> Result<Self> {
        let archive = Archive::open(path)?.with_placement(Placement::f32(device));
        let model = Self::new(&Path::root(&archive), network)?;
        archive.finish_except(|name| ["classifier.", "lins.", "scaling_layer."].iter().any(|prefix| name.starts_with(prefix)))?;
        Ok(model)
    }

    /// How the metric sees one picture: `[1, height, width, 3]` in [-1, 1].
    pub fn look(&self, picture: &Tensor) -> Result<Appearance> {
        let scaled = picture.f32s()?.chunks_exact(3).flat_map(|pixel| [0, 1, 2].map(|i| (pixel[i] - SHIFT[i]) / SCALE[i])).collect::<Vec<_>>();
        let activations = self.backbone.activations(&Var::constant(Tensor::from_f32(scaled, picture.shape())?))?;
        let layers = activations.iter().map(|layer| {
            let channels = layer.dim(3);
            let mut values = layer.to_f32_vec()?;
            parallel::chunks(&mut values, parallel::rows_per_task(channels) * channels, |_, part| {
                part.chunks_exact_mut(channels).for_each(normalize)
            });
            Ok(values)
        });
        Ok(Appearance { layers: layers.collect::<Result<_>>()? })
    }

    /// How different two pictures of one size look: 0 for the same, about 1 for very different ones.
    ///
    /// # Errors
    /// When the pictures differ in size.
    pub fn distance(&self, a: &Appearance, b: &Appearance) -> Result<f64> {
        let mut total = 0.0;
        for ((a, b), weight) in a.layers.iter().zip(&b.layers).zip(&self.weights) {
            ensure!(a.len() == b.len(), "LPIPS compares pictures of one size");
            let pixels = a.len() / weight.len();
            total += squared_differences(a, b, weight) / pixels as f64;
        }
        Ok(total)
    }
}

fn normalize(pixel: &mut [f32]) {
    let length = pixel.iter().map(|x| x * x).sum::<f32>().sqrt() + EPSILON;
    pixel.iter_mut().for_each(|x| *x /= length);
}

/// The weighted sum over all pixels and channels, in an order that does not depend on threads.
fn squared_differences(a: &[f32], b: &[f32], weight: &[f32]) -> f64 {
    let channels = weight.len();
    let per_task = parallel::rows_per_task(channels) * channels;
    let tasks = parallel::collect(a.len().div_ceil(per_task), |task| {
        let range = task * per_task..a.len().min((task + 1) * per_task);
        let mut sums = vec![0.0_f32; channels];
        for (a, b) in a[range.clone()].chunks_exact(channels).zip(b[range].chunks_exact(channels)) {
            sums.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += (a - b) * (a - b));
        }
        sums.iter().zip(weight).map(|(sum, weight)| f64::from(*sum) * f64::from(*weight)).sum::<f64>()
    });
    tasks.iter().sum()
}
