//! One layer of the text transformer.

use crate::autograd::Var;
use crate::error::Result;
use crate::models::clip::{ClipActivation, ClipTextConfig};
use crate::nn::{LayerNorm, Linear, Path};
use crate::ops::{self, LinearEpilogue};

/// Causal self-attention, then a two-layer network, each behind a normalisation and around a shortcut.
///
/// # Shapes
/// `[batch, length, width] -> ` the same.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    attention_norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    network_norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    heads: usize,
    activation: ClipActivation,
}

impl Layer {
    pub(super) fn new(path: &Path, config: &ClipTextConfig) -> Result<Self> {
        let width = config.hidden_size;
        let (attention, network) = (path.child("self_attn"), path.child("mlp"));
        let projection = |name| Linear::new(&attention.child(name), width, width);
        Ok(Self {
            attention_norm: LayerNorm::new(&path.child("layer_norm1"), width, config.layer_norm_eps)?,
            query: projection("q_proj")?,
            key: projection("k_proj")?,
            value: projection("v_proj")?,
            output: projection("out_proj")?,
            network_norm: LayerNorm::new(&path.child("layer_norm2"), width, config.layer_norm_eps)?,
            inner: Linear::new(&network.child("fc1"), width, config.intermediate_size)?,
            outer: Linear::new(&network.child("fc2"), config.intermediate_size, width)?,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
        })
    }

    pub(super) fn forward(&self, x: &Var) -> Result<Var> {
        let normal = self.attention_norm.forward(x)?;
        let (query, key, value) = (self.query.forward(&normal)?, self.key.forward(&normal)?, self.value.forward(&normal)?);
        let attended = ops::attention(&query, &key, &value, self.heads, true)?;
        let x = self.output.forward_with(&attended, LinearEpilogue::Residual(x))?;
        let inner = self.inner.forward_with(&self.network_norm.forward(&x)?, self.activation.epilogue())?;
        self.outer.forward_with(&inner, LinearEpilogue::Residual(&x))
    }
}
