//! The released program's encoder: pixel2style2pixel (Richardson et al., arXiv 2008.00951) on the IR-50 of ArcFace, with the program's names.

use serde::{Deserialize, Serialize};

use crate::autograd::Var;
use crate::error::{Result, ensure};
use crate::models::resnet::BATCH_NORM_EPSILON;
use crate::nn::{BatchNorm2d, Conv2d, Init, Parameter, Path};
use crate::ops::{self, Conv2dOptions, LinearEpilogue};

/// Sizes of the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PspConfig {
    /// Height and width of the masks: a power of two, at least 16; 256 in the released program.
    pub mask_size: usize,
    /// How many tokens come out: n.
    pub tokens: usize,
    /// Channels of the stem and the first stage; each later stage doubles it. 64 in the released program.
    pub stem: usize,
    /// Units of the four stages: 3, 4, 14, 3 in the released program.
    pub units: [usize; 4],
}

impl PspConfig {
    /// The released program's sizes.
    pub fn released(tokens: usize) -> Self {
        Self { mask_size: 256, tokens, stem: 64, units: [3, 4, 14, 3] }
    }
}

/// Slope of `nn.LeakyReLU` when nothing is said.
const LEAKY_SLOPE: f32 = 0.01;

/// IR-50, a top-down pathway of three levels, one convolutional head per token on the finest.
///
/// # Shapes
/// `[batch, s, s, 3] -> [batch, n, width]`.
#[derive(Clone, Debug)]
pub struct PspEncoder {
    stem: (Conv2d, BatchNorm2d, Parameter),
    body: Vec<Unit>,
    taps: [usize; 3],
    lateral: [Conv2d; 2],
    styles: Vec<StyleBlock>,
    mask_size: usize,
}

impl PspEncoder {
    /// Checkpoint names: `input_layer.{0,1,2}.*`, `body.U.*`, `styles.K.*`, `latlayer1.*`, `latlayer2.*`.
    pub fn new(path: &Path, config: &PspConfig, width: usize) -> Result<Self> {
        let size = config.mask_size;
        ensure!(size >= 16 && size.is_power_of_two(), "the pSp encoder's mask size is a power of two and at least 16, found {size}");
        let input = path.child("input_layer");
        let stem = (
            Conv2d::without_bias(&input.child(0), 3, config.stem, 3, Conv2dOptions::new(1, 1))?,
            BatchNorm2d::new(&input.child(1), config.stem, BATCH_NORM_EPSILON)?,
            slope(&input.child(2), config.stem)?,
        );
        let mut body = Vec::new();
        let mut inputs = config.stem;
        for (stage, &count) in config.units.iter().enumerate() {
            let outputs = config.stem << stage;
            for position in 0..count {
                let stride = if position == 0 { 2 } else { 1 };
                body.push(Unit::new(&path.child("body").child(body.len()), inputs, outputs, stride)?);
                inputs = outputs;
            }
        }
        let ends = [2, 3, 4].map(|stages| config.units[..stages].iter().sum::<usize>() - 1);
        let top = config.stem * 8;
        let pointwise = Conv2dOptions::new(1, 0);
        let lateral = [
            Conv2d::new(&path.child("latlayer1"), config.stem * 4, top, 1, pointwise)?,
            Conv2d::new(&path.child("latlayer2"), config.stem * 2, top, 1, pointwise)?,
        ];
        let halvings = (size / 4).ilog2() as usize;
        let styles = (0..config.tokens).map(|token| StyleBlock::new(&path.child("styles").child(token), top, width, halvings));
        Ok(Self { stem, body, taps: ends, lateral, styles: styles.collect::<Result<_>>()?, mask_size: size })
    }

    /// Token embeddings of mask pictures.
    pub fn forward(&self, image: &Var, training: bool) -> Result<Var> {
        let [batch, height, width, _] = image.dims::<4>()?;
        ensure!(
            height == self.mask_size && width == self.mask_size,
            "the pSp encoder takes masks of {0}x{0}, found {height}x{width}",
            self.mask_size
        );
        let (conv, norm, slope) = &self.stem;
        let image = conv.placement().enter(image)?;
        let mut x = ops::prelu(&norm.forward(&conv.forward(&image)?, training)?, &slope.var())?;
        let mut taps = Vec::with_capacity(3);
        for (position, unit) in self.body.iter().enumerate() {
            x = unit.forward(&x, training)?;
            if self.taps.contains(&position) {
                taps.push(x.clone());
            }
        }
        let middle = upsample_add(&taps[2], &self.lateral[0].forward(&taps[1])?)?;
        let fine = upsample_add(&middle, &self.lateral[1].forward(&taps[0])?)?;
        let mut tokens = Vec::with_capacity(self.styles.len());
        for style in &self.styles {
            let token = style.forward(&fine)?;
            tokens.push(ops::reshape(&token, &[batch, 1, token.dim(1)])?);
        }
        ops::concat(&tokens.iter().collect::<Vec<_>>(), 1)
    }
}

/// One improved residual unit: branch [BN, conv3, PReLU, conv3 with the stride, BN] plus a shortcut that subsamples or projects.
#[derive(Clone, Debug)]
struct Unit {
    first_norm: BatchNorm2d,
    first: Conv2d,
    slope: Parameter,
    second: Conv2d,
    second_norm: BatchNorm2d,
    shortcut: Option<(Conv2d, BatchNorm2d)>,
    stride: usize,
}

impl Unit {
    /// Checkpoint names: `res_layer.{0..4}.*`, `shortcut_layer.{0,1}.*`.
    fn new(path: &Path, inputs: usize, outputs: usize, stride: usize) -> Result<Self> {
        let branch = path.child("res_layer");
        let shortcut = if inputs == outputs {
            None
        } else {
            let path = path.child("shortcut_layer");
            let conv = Conv2d::without_bias(&path.child(0), inputs, outputs, 1, Conv2dOptions::new(stride, 0))?;
            Some((conv, BatchNorm2d::new(&path.child(1), outputs, BATCH_NORM_EPSILON)?))
        };
        Ok(Self {
            first_norm: BatchNorm2d::new(&branch.child(0), inputs, BATCH_NORM_EPSILON)?,
            first: Conv2d::without_bias(&branch.child(1), inputs, outputs, 3, Conv2dOptions::new(1, 1))?,
            slope: slope(&branch.child(2), outputs)?,
            second: Conv2d::without_bias(&branch.child(3), outputs, outputs, 3, Conv2dOptions::new(stride, 1))?,
            second_norm: BatchNorm2d::new(&branch.child(4), outputs, BATCH_NORM_EPSILON)?,
            shortcut,
            stride,
        })
    }

    fn forward(&self, x: &Var, training: bool) -> Result<Var> {
        let shortcut = match &self.shortcut {
            Some((conv, norm)) => norm.forward(&conv.forward(x)?, training)?,
            None if self.stride == 1 => x.clone(),
            // A max-pool of window 1 is subsampling.
            None => ops::max_pool(x, 1, self.stride, 0)?,
        };
        let y = self.first.forward(&self.first_norm.forward(x, training)?)?;
        let y = self.second.forward(&ops::prelu(&y, &self.slope.var())?)?;
        ops::add(&self.second_norm.forward(&y, training)?, &shortcut)
    }
}

/// Stride-2 convolutions down to 1x1, then an equalised linear layer.
#[derive(Clone, Debug)]
struct StyleBlock {
    convs: Vec<Conv2d>,
    weight: Parameter,
    bias: Parameter,
}

impl StyleBlock {
    /// Checkpoint names: `convs.{0,2,4,..}.*`, `linear.{weight,bias}`.
    fn new(path: &Path, inputs: usize, width: usize, halvings: usize) -> Result<Self> {
        let mut convs = Vec::with_capacity(halvings);
        for position in 0..halvings {
            let from = if position == 0 { inputs } else { width };
            convs.push(Conv2d::new(&path.child("convs").child(2 * position), from, width, 3, Conv2dOptions::new(2, 1))?);
        }
        let linear = path.child("linear");
        Ok(Self {
            convs,
            weight: linear.parameter("weight", &[width, width], Init::Normal(1.0))?,
            bias: linear.parameter("bias", &[width], Init::Zeros)?,
        })
    }

    fn forward(&self, x: &Var) -> Result<Var> {
        let mut x = x.clone();
        for conv in &self.convs {
            x = ops::leaky_relu(&conv.forward(&x)?, LEAKY_SLOPE)?;
        }
        let [batch, .., width] = x.dims::<4>()?;
        // Equalised learning rate: the stored weight has unit variance, 1/sqrt(fan in) is applied at run time.
        let scale = LinearEpilogue::Scale(1.0 / (width as f32).sqrt());
        ops::linear_with(&ops::reshape(&x, &[batch, width])?, &self.weight.var(), Some(&self.bias.var()), scale)
    }
}

/// Bilinear enlargement (corners aligned) of the coarser map, plus the finer one.
fn upsample_add(coarse: &Var, fine: &Var) -> Result<Var> {
    ops::add(&ops::resize_bilinear(coarse, fine.dim(1), fine.dim(2), true)?, fine)
}

/// PReLU's slopes, starting as PyTorch's.
fn slope(path: &Path, channels: usize) -> Result<Parameter> {
    path.parameter("weight", &[channels], Init::Constant(0.25))
}
