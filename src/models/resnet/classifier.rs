//! The whole ResNet with its classifier, torchvision's `resnet34` and relatives.

use super::{ResNet, ResNetConfig};
use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Init, Linear, ParameterSource, Path, RandomInit};
use crate::ops;
use crate::tensor::Tensor;

/// A ResNet that says what is on a picture.
///
/// # Shapes
/// Picture `[batch, height, width, 3]` to logits `[batch, classes]`.
#[derive(Clone, Debug)]
pub struct ResNetClassifier {
    backbone: ResNet,
    fc: Linear,
}

impl ResNetClassifier {
    /// Checkpoint names: the backbone's and `fc.*`, as torchvision's.
    pub fn new(path: &Path, config: &ResNetConfig, classes: usize) -> Result<Self> {
        let backbone = ResNet::new(path, config)?;
        let features = backbone.channels()[3];
        Ok(Self { backbone, fc: Linear::new(&path.child("fc"), features, classes)? })
    }

    /// The logits. `training` as in [`crate::nn::BatchNorm2d::forward`].
    pub fn forward(&self, picture: &Var, training: bool) -> Result<Var> {
        let mut x = picture.clone();
        for feature in self.backbone.features(picture, training)? {
            x = feature;
        }
        let pooled = ops::area_pool(&x, 1, 1)?;
        let [batch, _, _, channels] = pooled.dims()?;
        self.fc.forward(&ops::reshape(&pooled, &[batch, channels])?)
    }
}

/// Initial values as torchvision has them: convolutions N(0, 2 / (out · kernel²)), batch norm weights 1 and biases 0, the classifier uniform.
#[derive(Clone, Debug)]
pub struct FreshResNet {
    /// Seed of all values.
    pub seed: u64,
}

impl ParameterSource for FreshResNet {
    fn fetch(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let init = match *shape {
            [outputs, _, height, width] => Init::Normal((2.0 / (outputs * height * width) as f32).sqrt()),
            _ => init,
        };
        RandomInit { seed: self.seed }.fetch(name, shape, init)
    }
}
