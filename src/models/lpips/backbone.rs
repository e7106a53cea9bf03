//! The convolutional parts of VGG16 and AlexNet, with the layers that LPIPS looks at.

use super::Network;
use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Conv2d, Path};
use crate::ops::{self, Conv2dOptions};

/// A convolution with ReLU behind it: its number in torchvision's `features`, output channels, kernel, stride, padding.
type Row = (usize, usize, usize, usize, usize);

/// Up to an activation that is looked at; between two parts lies a pooling where torchvision has one.
struct Part {
    /// Kernel of the maximum (stride 2) before the convolutions.
    pool: Option<usize>,
    rows: &'static [Row],
}

const VGG: [Part; 5] = [
    Part { pool: None, rows: &[(0, 64, 3, 1, 1), (2, 64, 3, 1, 1)] },
    Part { pool: Some(2), rows: &[(5, 128, 3, 1, 1), (7, 128, 3, 1, 1)] },
    Part { pool: Some(2), rows: &[(10, 256, 3, 1, 1), (12, 256, 3, 1, 1), (14, 256, 3, 1, 1)] },
    Part { pool: Some(2), rows: &[(17, 512, 3, 1, 1), (19, 512, 3, 1, 1), (21, 512, 3, 1, 1)] },
    Part { pool: Some(2), rows: &[(24, 512, 3, 1, 1), (26, 512, 3, 1, 1), (28, 512, 3, 1, 1)] },
];

const ALEX: [Part; 5] = [
    Part { pool: None, rows: &[(0, 64, 11, 4, 2)] },
    Part { pool: Some(3), rows: &[(3, 192, 5, 1, 2)] },
    Part { pool: Some(3), rows: &[(6, 384, 3, 1, 1)] },
    Part { pool: None, rows: &[(8, 256, 3, 1, 1)] },
    Part { pool: None, rows: &[(10, 256, 3, 1, 1)] },
];

/// The network up to its last activation that is looked at.
#[derive(Clone, Debug)]
pub(super) struct Backbone {
    parts: Vec<(Option<usize>, Vec<Conv2d>)>,
    channels: Vec<usize>,
}

impl Backbone {
    /// Checkpoint names: `N.weight`, `N.bias`.
    pub(super) fn new(path: &Path, network: Network) -> Result<Self> {
        let (mut parts, mut channels, mut inputs) = (Vec::new(), Vec::new(), 3);
        for Part { pool, rows } in match network {
            Network::Vgg => VGG,
            Network::Alex => ALEX,
        } {
            let mut layers = Vec::with_capacity(rows.len());
            for &(number, outputs, kernel, stride, padding) in rows {
                layers.push(Conv2d::new(&path.child(number), inputs, outputs, kernel, Conv2dOptions::new(stride, padding))?);
                inputs = outputs;
            }
            parts.push((pool, layers));
            channels.push(inputs);
        }
        Ok(Self { parts, channels })
    }

    /// Of the activations.
    pub(super) fn channels(&self) -> Vec<usize> {
        self.channels.clone()
    }

    /// `[batch, height, width, 3]` to five maps `[batch, h, w, channels]`, behind their ReLU.
    pub(super) fn activations(&self, picture: &Var) -> Result<Vec<Var>> {
        let mut x = match self.parts.first().and_then(|(_, layers)| layers.first()) {
            Some(first) => first.placement().enter(picture)?,
            None => picture.clone(),
        };
        let mut found = Vec::with_capacity(self.parts.len());
        for (pool, layers) in &self.parts {
            if let Some(kernel) = pool {
                x = ops::max_pool(&x, *kernel, 2, 0)?;
            }
            for layer in layers {
                x = ops::relu(&layer.forward(&x)?)?;
            }
            found.push(x.clone());
        }
        Ok(found)
    }
}
