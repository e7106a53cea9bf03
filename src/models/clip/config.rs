//! The text encoder's `config.json`.

use serde::Deserialize;

use crate::error::Result;
use crate::invalid_input;
use crate::models::config::{self, Fixed, require_divisible, require_size};
use crate::ops::LinearEpilogue;

/// Everything that decides the network's shape; fields as in transformers' `CLIPTextConfig`, with its defaults (the text half of CLIP ViT-B/32).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClipTextConfig {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Width of the token embeddings and of the output.
    pub hidden_size: usize,
    /// Width inside each layer's two-layer network.
    pub intermediate_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// The longest sequence.
    pub max_position_embeddings: usize,
    /// The activation between the two layers.
    pub hidden_act: ClipActivation,
    /// Epsilon of every normalisation.
    pub layer_norm_eps: f32,
}

impl Default for ClipTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: ClipActivation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

/// The activation of CLIP's two-layer networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipActivation {
    /// x · sigmoid(1.702 x): OpenAI's CLIP, SD 1.x.
    QuickGelu,
    /// x · Φ(x): OpenCLIP, SD 2.x.
    Gelu,
}

impl ClipActivation {
    /// As what follows a linear layer.
    pub(super) fn epilogue(self) -> LinearEpilogue<'static> {
        match self {
            Self::QuickGelu => LinearEpilogue::QuickGelu,
            Self::Gelu => LinearEpilogue::Gelu,
        }
    }
}

const FIXED: &[Fixed] = &[Fixed {
    field: "model_type",
    accepted: &["\"clip_text_model\""],
    meaning: "only CLIP text encoders (SD 1.x, SD 2.x) are read; T5 belongs to SD 3 and FLUX, a whole CLIP has to be reduced to its text model",
}];

const MOST_LAYERS: usize = 1000;

impl ClipTextConfig {
    /// Reads and checks a config; `origin` names the file in errors.
    ///
    /// # Errors
    /// Input errors naming the field, for another kind of model or numbers that do not fit together.
    pub fn from_json(text: &str, origin: &str) -> Result<Self> {
        config::refuse_unsupported(text, origin, FIXED)?;
        let config: Self = config::parse(text, origin)?;
        for (size, field) in [
            (config.vocab_size, "vocab_size"),
            (config.hidden_size, "hidden_size"),
            (config.intermediate_size, "intermediate_size"),
            (config.num_hidden_layers, "num_hidden_layers"),
            (config.max_position_embeddings, "max_position_embeddings"),
        ] {
            require_size(size, field, origin)?;
        }
        if config.num_hidden_layers > MOST_LAYERS {
            invalid_input!("{origin}: num_hidden_layers is {}, expected at most {MOST_LAYERS}", config.num_hidden_layers);
        }
        require_size(config.num_attention_heads, "num_attention_heads", origin)?;
        require_divisible(config.hidden_size, config.num_attention_heads, "hidden_size", "num_attention_heads", origin)?;
        if !(config.layer_norm_eps > 0.0 && config.layer_norm_eps < 1.0) {
            invalid_input!("{origin}: layer_norm_eps is {}, expected a small positive number", config.layer_norm_eps);
        }
        Ok(config)
    }
}
