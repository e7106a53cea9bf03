//! The configs that a checkpoint in one file does without, from the shapes of its tensors and from what its family has in common.

use serde_json::{Value, json};

use crate::error::Result;
use crate::input_error;
use crate::weights::Archive;

/// What decides the numbers that no shape shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// SD 1.x: eight heads everywhere, CLIP with its quick GELU.
    One,
    /// SD 2.x: heads of 64 channels, OpenCLIP with the exact GELU.
    Two,
}

/// Channels of a head in OpenCLIP's and CLIP's text encoders and in SD 2's UNet.
const HEAD: usize = 64;
/// Heads of every attention in SD 1's UNet.
const HEADS: usize = 8;

/// `unet/config.json`; `latent_side` is the side of the training latents in cells.
pub(super) fn unet(weights: &Archive, family: Family, latent_side: usize) -> Result<Value> {
    let levels = count(weights, "down_blocks.", ".resnets.0.conv1.weight");
    let widths = (0..levels).map(|level| size(weights, &format!("down_blocks.{level}.resnets.0.conv1.weight"), 0)).collect::<Result<Vec<_>>>()?;
    let attends: Vec<bool> = (0..levels).map(|level| weights.contains(&format!("down_blocks.{level}.attentions.0.norm.weight"))).collect();
    let kinds = |way: &str, attends: &mut dyn Iterator<Item = &bool>| {
        let kind = |&attends: &bool| if attends { format!("CrossAttn{way}Block2D") } else { format!("{way}Block2D") };
        attends.map(kind).collect::<Vec<_>>()
    };
    let transformer = "mid_block.attentions.0.transformer_blocks.";
    let heads = match family {
        Family::One => json!(HEADS),
        Family::Two => json!(widths.iter().map(|width| width / HEAD).collect::<Vec<_>>()),
    };
    Ok(json!({
        "_class_name": "UNet2DConditionModel",
        "in_channels": size(weights, "conv_in.weight", 1)?,
        "out_channels": size(weights, "conv_out.weight", 0)?,
        "block_out_channels": widths,
        "down_block_types": kinds("Down", &mut attends.iter()),
        "up_block_types": kinds("Up", &mut attends.iter().rev()),
        "layers_per_block": count(weights, "down_blocks.0.resnets.", ".conv1.weight"),
        "attention_head_dim": heads,
        "cross_attention_dim": size(weights, &format!("{transformer}0.attn2.to_k.weight"), 1)?,
        "transformer_layers_per_block": count(weights, transformer, ".norm1.weight"),
        "use_linear_projection": family == Family::Two,
        "sample_size": latent_side,
    }))
}

/// `vae/config.json`.
pub(super) fn vae(weights: &Archive) -> Result<Value> {
    let levels = count(weights, "encoder.down_blocks.", ".resnets.0.conv1.weight");
    let widths =
        (0..levels).map(|level| size(weights, &format!("encoder.down_blocks.{level}.resnets.0.conv1.weight"), 0)).collect::<Result<Vec<_>>>()?;
    Ok(json!({
        "_class_name": "AutoencoderKL",
        "in_channels": size(weights, "encoder.conv_in.weight", 1)?,
        "out_channels": size(weights, "decoder.conv_out.weight", 0)?,
        "block_out_channels": widths,
        "down_block_types": vec!["DownEncoderBlock2D"; levels],
        "up_block_types": vec!["UpDecoderBlock2D"; levels],
        "layers_per_block": count(weights, "encoder.down_blocks.0.resnets.", ".conv1.weight"),
        "latent_channels": size(weights, "decoder.conv_in.weight", 1)?,
        "mid_block_add_attention": weights.contains("encoder.mid_block.attentions.0.to_q.weight"),
        "scaling_factor": 0.18215,
    }))
}

/// `text_encoder/config.json`.
pub(super) fn text_encoder(weights: &Archive, family: Family) -> Result<Value> {
    let table = "text_model.embeddings.token_embedding.weight";
    let width = size(weights, table, 1)?;
    Ok(json!({
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": size(weights, table, 0)?,
        "hidden_size": width,
        "intermediate_size": size(weights, "text_model.encoder.layers.0.mlp.fc1.weight", 0)?,
        "num_hidden_layers": count(weights, "text_model.encoder.layers.", ".mlp.fc1.weight"),
        "num_attention_heads": (width / HEAD).max(1),
        "max_position_embeddings": size(weights, "text_model.embeddings.position_embedding.weight", 0)?,
        "hidden_act": if family == Family::One { "quick_gelu" } else { "gelu" },
    }))
}

/// `scheduler/scheduler_config.json`: the noise schedule of all of Stable Diffusion 1.x and 2.x.
pub(super) fn scheduler(velocity: bool) -> Value {
    json!({
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": 1000,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "clip_sample": false,
        "set_alpha_to_one": false,
        "steps_offset": 1,
        "prediction_type": if velocity { "v_prediction" } else { "epsilon" },
    })
}

/// How many numbers n from 0 on have a tensor `<before>n<behind>`.
fn count(weights: &Archive, before: &str, behind: &str) -> usize {
    (0..).take_while(|number| weights.contains(&format!("{before}{number}{behind}"))).count()
}

fn size(weights: &Archive, name: &str, axis: usize) -> Result<usize> {
    let shape = weights.shape(name);
    shape.and_then(|shape| shape.get(axis).copied()).ok_or_else(|| match shape {
        Some(shape) => input_error!("{}: {name} has shape {shape:?}, expected at least {} axes", weights.label(), axis + 1),
        None => input_error!("{}: {name} is missing, under the name that original checkpoints have for it", weights.label()),
    })
}
