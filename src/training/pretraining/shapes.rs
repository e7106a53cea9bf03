//! The networks' shapes, as the JSON that a finished model carries.

/// The embedded base model. One group in each normalisation: with few channels a group, the normalisation would take the picture's mean colour away.
pub(super) const TINY_VAE: &str = r#"{
  "_class_name": "AutoencoderKL",
  "act_fn": "silu",
  "block_out_channels": [16, 32, 64],
  "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
  "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
  "in_channels": 3,
  "out_channels": 3,
  "latent_channels": 4,
  "layers_per_block": 1,
  "mid_block_add_attention": false,
  "norm_num_groups": 1,
  "sample_size": 128,
  "scaling_factor": 1.0
}"#;
pub(super) const TINY_UNET: &str = r#"{
  "_class_name": "UNet2DConditionModel",
  "act_fn": "silu",
  "attention_head_dim": 5,
  "block_out_channels": [40, 80, 160],
  "center_input_sample": false,
  "cross_attention_dim": 128,
  "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  "downsample_padding": 1,
  "flip_sin_to_cos": true,
  "freq_shift": 0,
  "in_channels": 4,
  "layers_per_block": 1,
  "mid_block_scale_factor": 1,
  "norm_eps": 1e-05,
  "norm_num_groups": 4,
  "out_channels": 4,
  "sample_size": 32,
  "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]
}"#;
pub(super) const TINY_TEXT_ENCODER: &str = r#"{
  "architectures": ["CLIPTextModel"],
  "model_type": "clip_text_model",
  "hidden_act": "quick_gelu",
  "hidden_size": 128,
  "intermediate_size": 512,
  "layer_norm_eps": 1e-05,
  "max_position_embeddings": 32,
  "num_attention_heads": 4,
  "num_hidden_layers": 2
}"#;

/// More noise at the end than Stable Diffusion has: the mean colour of so few latent cells would still show through its last step, and the network
/// would not learn to take colours from the caption. Where there is next to no signal, the noise is trivial to predict; the velocity is not.
pub(super) const SCHEDULER: &str = r#"{
  "_class_name": "DDIMScheduler",
  "beta_end": 0.025,
  "beta_schedule": "scaled_linear",
  "beta_start": 0.00085,
  "clip_sample": false,
  "num_train_timesteps": 1000,
  "prediction_type": "v_prediction",
  "set_alpha_to_one": false,
  "steps_offset": 1,
  "timestep_spacing": "leading"
}
"#;

/// Shapes of the smoke test: nothing to look at, seconds to train.
pub(super) const SMOKE_VAE: &str = r#"{
  "_class_name": "AutoencoderKL",
  "block_out_channels": [8, 8],
  "in_channels": 3,
  "out_channels": 3,
  "latent_channels": 4,
  "layers_per_block": 1,
  "mid_block_add_attention": false,
  "norm_num_groups": 1,
  "sample_size": 32,
  "scaling_factor": 1.0
}"#;
pub(super) const SMOKE_UNET: &str = r#"{
  "_class_name": "UNet2DConditionModel",
  "attention_head_dim": 2,
  "block_out_channels": [16, 16],
  "cross_attention_dim": 16,
  "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
  "flip_sin_to_cos": true,
  "freq_shift": 0,
  "in_channels": 4,
  "layers_per_block": 1,
  "norm_num_groups": 4,
  "out_channels": 4,
  "sample_size": 16,
  "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"]
}"#;
pub(super) const SMOKE_TEXT_ENCODER: &str = r#"{
  "architectures": ["CLIPTextModel"],
  "model_type": "clip_text_model",
  "hidden_act": "quick_gelu",
  "hidden_size": 16,
  "intermediate_size": 32,
  "layer_norm_eps": 1e-05,
  "max_position_embeddings": 32,
  "num_attention_heads": 2,
  "num_hidden_layers": 1
}"#;
