//! The UNet's `config.json`: what is read, what is checked, what is refused by name.

use serde::Deserialize;

use crate::error::Result;
use crate::invalid_input;
use crate::models::config::{self, Fixed, PerLevel, require_divisible, require_size};

/// A block on the way down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum BlockKind {
    /// Residual blocks, each with a transformer that sees the context.
    #[serde(alias = "CrossAttnDownBlock2D", alias = "CrossAttnUpBlock2D")]
    CrossAttention,
    /// Residual blocks only.
    #[serde(alias = "DownBlock2D", alias = "UpBlock2D")]
    Plain,
}

/// Everything that decides the network's shape; fields as in diffusers' `UNet2DConditionModel`, levels from the highest resolution to the lowest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct UnetConfig {
    /// Channels of the noisy latent.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Width of each level.
    pub block_out_channels: Vec<usize>,
    /// Kinds of the blocks on the way down.
    pub down_block_types: Vec<BlockKind>,
    /// Kinds of the blocks on the way up, the lowest resolution first.
    pub up_block_types: Vec<BlockKind>,
    /// Residual blocks on the way down at each level; one more on the way up.
    #[serde(default = "two")]
    pub layers_per_block: PerLevel,
    /// The NUMBER of heads, whatever its name says, in every Stable Diffusion config (diffusers issue 2011).
    #[serde(default = "eight")]
    attention_head_dim: PerLevel,
    /// The number of heads, where a config names it rightly.
    num_attention_heads: Option<PerLevel>,
    /// Width of the context.
    pub cross_attention_dim: PerLevel,
    /// Transformer layers in each attention block.
    #[serde(default = "one")]
    pub transformer_layers_per_block: PerLevel,
    /// Whether the projections around the transformers are stored as linear layers (SD 2) or as 1x1 convolutions (SD 1); the arithmetic is the same.
    #[serde(default)]
    pub use_linear_projection: bool,
    /// Groups of every group normalisation.
    #[serde(default = "thirty_two")]
    pub norm_num_groups: usize,
    /// Epsilon of the residual blocks' normalisations.
    #[serde(default = "default_epsilon")]
    pub norm_eps: f32,
    /// Cosines before sines in the time embedding.
    #[serde(default = "yes")]
    pub flip_sin_to_cos: bool,
    /// Shift of the time embedding's lowest frequency.
    #[serde(default)]
    pub freq_shift: f64,
    /// Height and width of the latents that the model was trained on.
    #[serde(default)]
    pub sample_size: Option<PerLevel>,
}

fn one() -> PerLevel {
    PerLevel::Same(1)
}
fn two() -> PerLevel {
    PerLevel::Same(2)
}
fn eight() -> PerLevel {
    PerLevel::Same(8)
}
fn thirty_two() -> usize {
    32
}
fn default_epsilon() -> f32 {
    1e-5
}
fn yes() -> bool {
    true
}

/// Settings of other models that share the class. Values as JSON.
const FIXED: &[Fixed] = &[
    Fixed {
        field: "_class_name",
        accepted: &["\"UNet2DConditionModel\""],
        meaning: "this is another network (SD 3 and FLUX have transformers in place of the UNet); only the SD 1.x and SD 2.x families fit",
    },
    Fixed {
        field: "addition_embed_type",
        accepted: &[],
        meaning: "SDXL and its refiner condition on a second embedding; only SD 1.x and SD 2.x fit",
    },
    Fixed { field: "class_embed_type", accepted: &[], meaning: "class-conditional models (SD 2.1 unCLIP, upscalers) are not supported" },
    Fixed { field: "num_class_embeds", accepted: &[], meaning: "class-conditional models (the x4 upscaler) are not supported" },
    Fixed { field: "encoder_hid_dim_type", accepted: &[], meaning: "image-prompt and Kandinsky models are not supported" },
    Fixed { field: "time_cond_proj_dim", accepted: &[], meaning: "latent consistency models are not supported" },
    Fixed { field: "center_input_sample", accepted: &["false"], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "mid_block_type", accepted: &["\"UNetMidBlock2DCrossAttn\""], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "act_fn", accepted: &["\"silu\"", "\"swish\""], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "only_cross_attention", accepted: &["false"], meaning: "the x4 upscaler's attention is not supported" },
    Fixed { field: "dual_cross_attention", accepted: &["false"], meaning: "two contexts (Versatile Diffusion) are not supported" },
    Fixed { field: "mid_block_only_cross_attention", accepted: &["false"], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "cross_attention_norm", accepted: &[], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "attention_type", accepted: &["\"default\""], meaning: "gated attention (GLIGEN) is not supported" },
    Fixed { field: "resnet_time_scale_shift", accepted: &["\"default\""], meaning: "pixel-space models (DeepFloyd IF) are not supported" },
    Fixed { field: "resnet_skip_time_act", accepted: &["false"], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "resnet_out_scale_factor", accepted: &["1", "1.0"], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "mid_block_scale_factor", accepted: &["1", "1.0"], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "time_embedding_type", accepted: &["\"positional\""], meaning: "Fourier time embeddings are not supported" },
    Fixed { field: "time_embedding_dim", accepted: &[], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "time_embedding_act_fn", accepted: &[], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "timestep_post_act", accepted: &[], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "class_embeddings_concat", accepted: &["false"], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "reverse_transformer_layers_per_block", accepted: &[], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "downsample_padding", accepted: &["1"], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "conv_in_kernel", accepted: &["3"], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "conv_out_kernel", accepted: &["3"], meaning: "not part of the SD 1.x and SD 2.x families" },
];

impl UnetConfig {
    /// Reads and checks a config; `origin` names the file in errors.
    ///
    /// # Errors
    /// Input errors for a config that is not one of this family's, naming the field, or whose numbers do not fit together.
    pub fn from_json(text: &str, origin: &str) -> Result<Self> {
        config::refuse_unsupported(text, origin, FIXED)?;
        let config: Self = config::parse(text, origin)?;
        config.check(origin)?;
        Ok(config)
    }

    fn check(&self, origin: &str) -> Result<()> {
        require_size(self.in_channels, "in_channels", origin)?;
        require_size(self.out_channels, "out_channels", origin)?;
        self.refuse_concatenated_inputs(origin)?;
        let levels = self.levels();
        if levels == 0 || levels > 8 {
            invalid_input!("{origin}: block_out_channels lists {levels} levels, expected 1 to 8");
        }
        for (field, types) in [("down_block_types", &self.down_block_types), ("up_block_types", &self.up_block_types)] {
            if types.len() != levels {
                invalid_input!("{origin}: {field} lists {} blocks, expected one for each of the {levels} block_out_channels", types.len());
            }
        }
        self.layers_per_block.check(levels, "layers_per_block", origin)?;
        self.heads().check(levels, "attention_head_dim", origin)?;
        self.cross_attention_dim.check(levels, "cross_attention_dim", origin)?;
        self.transformer_layers_per_block.check(levels, "transformer_layers_per_block", origin)?;
        for (level, &channels) in self.block_out_channels.iter().enumerate() {
            let field = format!("block_out_channels[{level}]");
            require_size(channels, &field, origin)?;
            require_divisible(channels, self.norm_num_groups, &field, "norm_num_groups", origin)?;
            require_divisible(channels, self.heads().at(level), &field, "the number of heads (attention_head_dim)", origin)?;
        }
        require_divisible(self.block_out_channels[0], 2, "block_out_channels[0]", "the time embedding's sine and cosine", origin)
    }

    /// Refuses models that expect more than the latent at their input.
    fn refuse_concatenated_inputs(&self, origin: &str) -> Result<()> {
        if self.in_channels == self.out_channels {
            return Ok(());
        }
        let kind = match self.in_channels {
            9 => "an inpainting model: latent, mask and masked image together. Blended diffusion needs the plain text-to-image model",
            8 => "an image-editing model (InstructPix2Pix)",
            7 => "an upscaler",
            5 => "a depth-conditioned model",
            _ => "a model with further inputs beside the latent",
        };
        invalid_input!("{origin}: in_channels is {}, expected out_channels = {}: this is {kind}", self.in_channels, self.out_channels);
    }

    /// The number of resolutions.
    pub fn levels(&self) -> usize {
        self.block_out_channels.len()
    }

    /// The number of attention heads of each level.
    pub fn heads(&self) -> &PerLevel {
        self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim)
    }

    /// Width of the time embedding inside the network.
    pub fn time_width(&self) -> usize {
        4 * self.block_out_channels[0]
    }
}
