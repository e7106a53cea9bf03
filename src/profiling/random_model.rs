//! Full-size models without their files: published shapes, arbitrary weights.

use rayon::prelude::*;

use crate::device::cpu::Buffer;
use crate::error::Result;
use crate::invalid_input;
use crate::models::base::{BaseModel, Configs};
use crate::models::tokenizer::ClipTokenizer;
use crate::nn::{Init, ParameterSource};
use crate::tensor::Tensor;

/// The shapes of a published model.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// `unet/config.json`.
    pub unet: &'static str,
    /// `vae/config.json`.
    pub vae: &'static str,
    /// `text_encoder/config.json`.
    pub text_encoder: &'static str,
    /// `scheduler/scheduler_config.json`.
    pub scheduler: &'static str,
    /// What the tokenizer fills short texts with.
    pub pad: &'static str,
    /// Tokens of a prompt.
    pub tokens: usize,
}

const VAE: &str = r#"{"_class_name": "AutoencoderKL", "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4,
    "norm_num_groups": 32, "scaling_factor": 0.18215}"#;

const SD15_TEXT_ENCODER: &str = r#"{"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "vocab_size": 49408, "hidden_size": 768,
    "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "max_position_embeddings": 77, "hidden_act": "quick_gelu"}"#;

const SD21_TEXT_ENCODER: &str = r#"{"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "vocab_size": 49408, "hidden_size": 1024,
    "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16, "max_position_embeddings": 77, "hidden_act": "gelu"}"#;

const SCHEDULER: &str = r#"{"_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "beta_end": 0.012, "clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1, "prediction_type": "epsilon"}"#;

const PRESETS: [Preset; 2] = [
    Preset {
        name: "sd15",
        unet: r#"{"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280],
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
            "layers_per_block": 2, "attention_head_dim": 8, "cross_attention_dim": 768}"#,
        vae: VAE,
        text_encoder: SD15_TEXT_ENCODER,
        scheduler: SCHEDULER,
        pad: "<|endoftext|>",
        tokens: 77,
    },
    Preset {
        name: "sd21",
        unet: r#"{"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280],
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
            "layers_per_block": 2, "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "use_linear_projection": true}"#,
        vae: VAE,
        text_encoder: SD21_TEXT_ENCODER,
        scheduler: SCHEDULER,
        pad: "!",
        tokens: 77,
    },
];

impl Preset {
    /// Finds `sd15` or `sd21`.
    pub fn find(name: &str) -> Result<Self> {
        match PRESETS.iter().find(|preset| preset.name == name) {
            Some(preset) => Ok(*preset),
            None => invalid_input!("--random {name}: expected {}", PRESETS.map(|preset| preset.name).join(" or ")),
        }
    }

    /// The whole model with [`FastNoise`] for weights.
    ///
    /// # Errors
    /// When the configs are not usable.
    pub fn model(&self) -> Result<BaseModel> {
        let configs = Configs { text_encoder: self.text_encoder, unet: self.unet, vae: self.vae, scheduler: self.scheduler };
        BaseModel::from_source(&configs, ClipTokenizer::clip(self.pad)?, &FastNoise)
    }
}

/// Weights of the right shape and size, made as fast as memory is written: for measuring, not for training.
#[derive(Clone, Copy, Debug)]
pub struct FastNoise;

/// Elements that one task fills.
const CHUNK: usize = 1 << 16;

impl ParameterSource for FastNoise {
    fn fetch(&self, _: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let (centre, spread) = match init {
            Init::Zeros => (0.0, 0.0),
            Init::Ones => (1.0, 0.0),
            Init::Constant(value) => (value, 0.0),
            // As wide as a uniform distribution of this deviation.
            Init::Normal(deviation) => (0.0, deviation * 3f32.sqrt()),
            Init::Uniform(bound) => (0.0, bound),
        };
        let mut buffer = Buffer::<f32>::scratch(shape.iter().product());
        buffer.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            // Marsaglia's xorshift: its quality is beside the point here.
            let mut state = (chunk as u32).wrapping_mul(0x9E37_79B9) | 1;
            for value in values {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                *value = centre + spread * (state as i32 as f32 * (1.0 / 2_147_483_648.0));
            }
        });
        Tensor::from_f32(buffer, shape)
    }
}
