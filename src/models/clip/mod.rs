//! CLIP's text encoder: token and position embeddings, a causal pre-norm transformer, a final normalisation. Reference: transformers
//! `models/clip/modeling_clip.py`, class `CLIPTextModel`; parameters are named as there.

mod config;
mod layer;
#[cfg(test)]
mod tests;

pub use config::{ClipActivation, ClipTextConfig};

use crate::autograd::Var;
use crate::device::recording;
use crate::error::{Result, ensure};
use crate::nn::{Embedding, LayerNorm, Path};
use crate::ops;
use crate::tensor::Tensor;
use layer::Layer;

/// Turns token ids into the context of the UNet's cross-attention.
#[derive(Clone, Debug)]
pub struct ClipTextModel {
    config: ClipTextConfig,
    tokens: Embedding,
    positions: Embedding,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
}

impl ClipTextModel {
    /// Checkpoint names start with `text_model.`; files of transformers 5, which have no such prefix, load as well.
    pub fn new(path: &Path, config: &ClipTextConfig) -> Result<Self> {
        let path = path.child("text_model");
        let (embeddings, layers) = (path.child("embeddings"), path.child("encoder.layers"));
        Ok(Self {
            config: config.clone(),
            tokens: Embedding::new(&embeddings.child("token_embedding"), config.vocab_size, config.hidden_size)?,
            positions: Embedding::new(&embeddings.child("position_embedding"), config.max_position_embeddings, config.hidden_size)?,
            layers: (0..config.num_hidden_layers).map(|index| Layer::new(&layers.child(index), config)).collect::<Result<_>>()?,
            final_norm: LayerNorm::new(&path.child("final_layer_norm"), config.hidden_size, config.layer_norm_eps)?,
        })
    }

    /// What the network was built from.
    pub fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    /// The table of token embeddings, `[vocabulary, width]`.
    pub fn token_embedding(&self) -> &Embedding {
        &self.tokens
    }

    /// The embeddings of tokens alone, in f32, for [`ClipTextModel::forward_embeddings`]: ids `[..] -> [.., width]`.
    pub fn embed(&self, ids: &Tensor) -> Result<Var> {
        self.tokens.weight().placement().leave(&self.tokens.forward(ids)?)
    }

    /// The last hidden state, normalised.
    ///
    /// # Shapes
    /// i32 ids `[batch, length] -> [batch, length, width]`.
    ///
    /// # Errors
    /// When the sequence is longer than the model's, or an id is not in the vocabulary.
    pub fn forward(&self, ids: &Tensor) -> Result<Var> {
        self.forward_embeddings(&self.tokens.forward(ids)?)
    }

    /// [`ClipTextModel::forward`] from token embeddings, where textual inversion puts its own rows; positions are added here. Gradients flow to them.
    ///
    /// # Shapes
    /// `[batch, length, width] -> ` the same.
    pub fn forward_embeddings(&self, token_embeddings: &Var) -> Result<Var> {
        let _network = recording::network("text_encoder");
        let here = self.tokens.weight().placement();
        let [_, length, width] = token_embeddings.dims()?;
        let longest = self.config.max_position_embeddings;
        ensure!(width == self.config.hidden_size, "the text encoder's width is {}, found embeddings of width {width}", self.config.hidden_size);
        ensure!(length <= longest, "the text encoder reads at most {longest} tokens, found {length}");
        let positions = ops::narrow(&self.positions.weight().var(), 0, 0, length)?;
        let mut x = ops::broadcast_add(&here.enter(token_embeddings)?, &positions)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        here.leave(&self.final_norm.forward(&x)?)
    }
}
