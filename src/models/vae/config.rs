//! The autoencoder's `config.json`.

use serde::Deserialize;

use crate::error::Result;
use crate::invalid_input;
use crate::models::blocks::{ResnetBlock, ResnetSizes};
use crate::models::config::{self, Fixed, require_divisible, require_size};
use crate::nn::Path;

/// Epsilon of every normalisation in the autoencoder.
pub(super) const EPSILON: f32 = 1e-6;

/// Everything that decides the network's shape; fields as in diffusers' `AutoencoderKL`, levels from the highest resolution to the lowest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct VaeConfig {
    /// Channels of the image given to the encoder.
    #[serde(default = "three")]
    pub in_channels: usize,
    /// Channels of the decoded image.
    #[serde(default = "three")]
    pub out_channels: usize,
    /// Width of each level; one level fewer than these are halvings.
    pub block_out_channels: Vec<usize>,
    down_block_types: Option<Vec<String>>,
    up_block_types: Option<Vec<String>>,
    /// Residual blocks of the encoder at each level; the decoder has one more.
    #[serde(default = "one")]
    pub layers_per_block: usize,
    /// Channels of the latent.
    #[serde(default = "four")]
    pub latent_channels: usize,
    /// Groups of every group normalisation.
    #[serde(default = "thirty_two")]
    pub norm_num_groups: usize,
    /// What the diffusion model's latents are in units of this network's.
    #[serde(default = "default_scale")]
    pub scaling_factor: f64,
    /// Whether a 1x1 convolution follows the encoder.
    #[serde(default = "yes")]
    pub use_quant_conv: bool,
    /// Whether a 1x1 convolution precedes the decoder.
    #[serde(default = "yes")]
    pub use_post_quant_conv: bool,
    /// Whether the middle of both halves has self-attention.
    #[serde(default = "yes")]
    pub mid_block_add_attention: bool,
}

fn one() -> usize {
    1
}
fn three() -> usize {
    3
}
fn four() -> usize {
    4
}
fn thirty_two() -> usize {
    32
}
fn default_scale() -> f64 {
    0.18215
}
fn yes() -> bool {
    true
}

/// Settings of other autoencoders. Values as JSON.
const FIXED: &[Fixed] = &[
    Fixed { field: "_class_name", accepted: &["\"AutoencoderKL\""], meaning: "this is another kind of autoencoder" },
    Fixed { field: "act_fn", accepted: &["\"silu\"", "\"swish\""], meaning: "not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "shift_factor", accepted: &["0", "0.0"], meaning: "shifted latents belong to SD 3 and FLUX, which do not fit" },
    Fixed { field: "latents_mean", accepted: &[], meaning: "latents normalised per channel are not part of the SD 1.x and SD 2.x families" },
    Fixed { field: "latents_std", accepted: &[], meaning: "latents normalised per channel are not part of the SD 1.x and SD 2.x families" },
];

impl VaeConfig {
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
        let levels = self.block_out_channels.len();
        if levels == 0 || levels > 8 {
            invalid_input!("{origin}: block_out_channels lists {levels} levels, expected 1 to 8");
        }
        let blocks =
            [("down_block_types", &self.down_block_types, "DownEncoderBlock2D"), ("up_block_types", &self.up_block_types, "UpDecoderBlock2D")];
        for (field, types, expected) in blocks {
            let Some(types) = types else { continue };
            if types.len() != levels || types.iter().any(|kind| kind != expected) {
                invalid_input!("{origin}: {field} is {types:?}, expected {expected} for each of the {levels} block_out_channels");
            }
        }
        let sizes = [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("layers_per_block", self.layers_per_block),
            ("latent_channels", self.latent_channels),
        ];
        for (field, size) in sizes {
            require_size(size, field, origin)?;
        }
        for (level, &channels) in self.block_out_channels.iter().enumerate() {
            let field = format!("block_out_channels[{level}]");
            require_size(channels, &field, origin)?;
            require_divisible(channels, self.norm_num_groups, &field, "norm_num_groups", origin)?;
        }
        if !(self.scaling_factor.is_finite() && self.scaling_factor > 0.0) {
            invalid_input!("{origin}: scaling_factor is {}, expected a positive number", self.scaling_factor);
        }
        Ok(())
    }

    /// How many pixels of the image one latent cell covers in each axis: 8 for Stable Diffusion.
    pub fn downscale(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// Width of the lowest resolution.
    pub(super) fn lowest_channels(&self) -> usize {
        self.block_out_channels[self.block_out_channels.len() - 1]
    }

    pub(super) fn resnet_sizes(&self, inputs: usize, outputs: usize) -> ResnetSizes {
        ResnetSizes { inputs, outputs, time: None, groups: self.norm_num_groups, epsilon: EPSILON }
    }

    /// `count` residual blocks, of which the first changes the width. Checkpoint names: `resnets.N`.
    pub(super) fn resnets(&self, path: &Path, count: usize, inputs: usize, outputs: usize) -> Result<Vec<ResnetBlock>> {
        let path = path.child("resnets");
        let build = |layer: usize| ResnetBlock::new(&path.child(layer), self.resnet_sizes(if layer == 0 { inputs } else { outputs }, outputs));
        (0..count).map(build).collect()
    }
}
