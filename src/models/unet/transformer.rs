//! Attention over the positions of an image and from them to the context: diffusers `Transformer2DModel` (`models/transformers/transformer_2d.py`)
//! and `BasicTransformerBlock` (`models/attention.py`).

use crate::autograd::Var;
use crate::error::Result;
use crate::models::unet::prepared::Conditioning;
use crate::nn::{GroupNorm, LayerNorm, Linear, Path};
use crate::ops::{self, LinearEpilogue};

/// Epsilon of the normalisation in front of the transformer; the config's is for the residual blocks only.
const GROUP_NORM_EPSILON: f32 = 1e-6;
const LAYER_NORM_EPSILON: f32 = 1e-5;
/// Width of the feed-forward layer in channels.
const FEED_FORWARD_FACTOR: usize = 4;

/// Sizes of a [`Transformer`].
#[derive(Clone, Copy, Debug)]
pub struct TransformerSizes {
    /// Channels of the image.
    pub channels: usize,
    /// Attention heads, which share the channels.
    pub heads: usize,
    /// Width of the context.
    pub context: usize,
    /// Blocks behind each other.
    pub layers: usize,
    /// Groups of the normalisation.
    pub groups: usize,
    /// How the checkpoint stores the projections around the blocks: linear `[out, in]`, else 1x1 convolutions `[out, in, 1, 1]`.
    pub linear_projection: bool,
}

/// Transformer blocks over the positions of an image, with a residual connection around all.
///
/// # Shapes
/// `[batch, height, width, channels] -> ` the same.
#[derive(Clone, Debug)]
pub struct Transformer {
    norm: GroupNorm,
    projection_in: Linear,
    blocks: Vec<Block>,
    projection_out: Linear,
}

impl Transformer {
    /// Checkpoint names: `norm`, `proj_in`, `transformer_blocks.N`, `proj_out`.
    pub fn new(path: &Path, sizes: TransformerSizes) -> Result<Self> {
        let channels = sizes.channels;
        let projection = if sizes.linear_projection { Linear::new } else { Linear::pointwise };
        let blocks = path.child("transformer_blocks");
        Ok(Self {
            norm: GroupNorm::new(&path.child("norm"), sizes.groups, channels, GROUP_NORM_EPSILON)?,
            projection_in: projection(&path.child("proj_in"), channels, channels)?,
            blocks: (0..sizes.layers).map(|layer| Block::new(&blocks.child(layer), sizes)).collect::<Result<_>>()?,
            projection_out: projection(&path.child("proj_out"), channels, channels)?,
        })
    }

    /// K and V of each block's attention to a context `[batch, tokens, context width]`.
    pub(super) fn keys_and_values(&self, context: &Var) -> Result<Vec<KeyValue>> {
        self.blocks.iter().map(|block| block.cross_attention.key_value(context)).collect()
    }

    /// Applies the layers at a level of the network.
    pub(super) fn forward(&self, x: &Var, conditioning: &mut Conditioning, level: usize) -> Result<Var> {
        let [batch, height, width, channels] = x.dims()?;
        let normalised = ops::reshape(&self.norm.forward(x)?, &[batch, height * width, channels])?;
        let mut hidden = self.projection_in.forward(&normalised)?;
        for block in &self.blocks {
            hidden = block.forward(&hidden, conditioning, level)?;
        }
        let residual = ops::reshape(x, &[batch, height * width, channels])?;
        ops::reshape(&self.projection_out.forward_with(&hidden, LinearEpilogue::Residual(&residual))?, x.shape())
    }
}

/// Self-attention, cross-attention and a gated feed-forward layer, each behind a normalisation and with a residual connection.
#[derive(Clone, Debug)]
struct Block {
    norm1: LayerNorm,
    self_attention: Projections,
    norm2: LayerNorm,
    cross_attention: Projections,
    norm3: LayerNorm,
    expand: Linear,
    contract: Linear,
}

impl Block {
    /// Checkpoint names: `norm1`, `attn1`, `norm2`, `attn2`, `norm3`, `ff.net.0.proj`, `ff.net.2`.
    fn new(path: &Path, sizes: TransformerSizes) -> Result<Self> {
        let TransformerSizes { channels, heads, context, .. } = sizes;
        let norm = |name: &str| LayerNorm::new(&path.child(name), channels, LAYER_NORM_EPSILON);
        let feed_forward = path.child("ff").child("net");
        let inner = FEED_FORWARD_FACTOR * channels;
        Ok(Self {
            norm1: norm("norm1")?,
            self_attention: Projections::new(&path.child("attn1"), channels, channels, heads)?,
            norm2: norm("norm2")?,
            cross_attention: Projections::new(&path.child("attn2"), channels, context, heads)?,
            norm3: norm("norm3")?,
            expand: Linear::new(&feed_forward.child(0).child("proj"), channels, 2 * inner)?,
            contract: Linear::new(&feed_forward.child(2), inner, channels)?,
        })
    }

    /// `[batch, positions, channels] -> ` the same.
    fn forward(&self, x: &Var, conditioning: &mut Conditioning, level: usize) -> Result<Var> {
        let x = self.self_attention.attend_to_self(&self.norm1.forward(x)?, x)?;
        let x = self.cross_attention.attend_to_context(&self.norm2.forward(&x)?, &x, conditioning, level)?;
        let hidden = self.expand.forward_with(&self.norm3.forward(&x)?, LinearEpilogue::Geglu)?;
        self.contract.forward_with(&hidden, LinearEpilogue::Residual(&x))
    }
}

/// What a cross-attention layer makes of a context, `[batch, tokens, channels]` each.
#[derive(Clone, Debug)]
pub(super) struct KeyValue {
    pub key: Var,
    pub value: Var,
}

/// The four projections of an attention layer.
#[derive(Clone, Debug)]
struct Projections {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

impl Projections {
    /// Checkpoint names: `to_q`, `to_k`, `to_v` (no biases), `to_out.0`.
    fn new(path: &Path, channels: usize, context: usize, heads: usize) -> Result<Self> {
        Ok(Self {
            query: Linear::without_bias(&path.child("to_q"), channels, channels)?,
            key: Linear::without_bias(&path.child("to_k"), context, channels)?,
            value: Linear::without_bias(&path.child("to_v"), context, channels)?,
            output: Linear::new(&path.child("to_out").child(0), channels, channels)?,
            heads,
        })
    }

    /// With `residual` added.
    fn attend_to_self(&self, x: &Var, residual: &Var) -> Result<Var> {
        let (q, k, v) = (self.query.forward(x)?, self.key.forward(x)?, self.value.forward(x)?);
        self.output.forward_with(&ops::attention(&q, &k, &v, self.heads, false)?, LinearEpilogue::Residual(residual))
    }

    fn key_value(&self, context: &Var) -> Result<KeyValue> {
        Ok(KeyValue { key: self.key.forward(context)?, value: self.value.forward(context)? })
    }

    /// With `residual` added.
    fn attend_to_context(&self, x: &Var, residual: &Var, conditioning: &mut Conditioning, level: usize) -> Result<Var> {
        let (q, KeyValue { key, value }) = (self.query.forward(x)?, conditioning.next_key_value()?);
        let attended = match conditioning.reweighting(level) {
            Some(reweighting) => ops::cross_attention(&q, key, value, self.heads, reweighting)?,
            None => ops::attention(&q, key, value, self.heads, false)?,
        };
        self.output.forward_with(&attended, LinearEpilogue::Residual(residual))
    }
}
