//! The names of an original checkpoint (CompVis, Stability AI) in terms of those in a diffusers folder.

/// Where the original program keeps each network.
pub(super) const UNET: &str = "model.diffusion_model.";
pub(super) const VAE: &str = "first_stage_model.";
/// SD 1.x: transformers' CLIP.
pub(super) const CLIP: &str = "cond_stage_model.transformer.";
/// SD 2.x: OpenCLIP.
pub(super) const OPEN_CLIP: &str = "cond_stage_model.model.";

/// What the names alone do not say: how the blocks, which the original numbers in one row, belong to levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Structure {
    /// Residual blocks of the UNet on the way down at each level.
    unet_layers: usize,
    /// Levels of the autoencoder.
    vae_levels: usize,
    /// Layers of OpenCLIP's text transformer.
    text_layers: usize,
}

impl Structure {
    /// From all names of a checkpoint.
    pub(super) fn of(names: &[&str]) -> Self {
        let numbers = |prefix: &str| names.iter().filter_map(|name| number(name.strip_prefix(prefix)?)).collect::<Vec<_>>();
        let count = |prefix: &str| numbers(prefix).iter().map(|(index, _)| index + 1).max().unwrap_or(0);
        let inputs = format!("{UNET}input_blocks.");
        // Block 0 is the first convolution; the first halving stands behind the first level's blocks.
        let halving = numbers(&inputs).iter().filter(|(_, rest)| rest.starts_with("0.op.")).map(|(index, _)| *index).min();
        Self {
            unet_layers: halving.unwrap_or(count(&inputs)).saturating_sub(1).max(1),
            vae_levels: count(&format!("{VAE}decoder.up.")),
            text_layers: count(&format!("{OPEN_CLIP}transformer.resblocks.")),
        }
    }

    /// The diffusers name of a UNet's tensor, both without the network's prefix.
    pub(super) fn unet(&self, name: &str) -> Option<String> {
        // On the way down a level ends with a halving, on the way up it has one block more.
        let per_level = self.unet_layers + 1;
        if let Some(rest) = name.strip_prefix("time_embed.") {
            let (index, leaf) = number(rest)?;
            return Some(format!("time_embedding.linear_{}.{leaf}", index / 2 + 1));
        }
        if let Some(leaf) = name.strip_prefix("input_blocks.0.0.") {
            return Some(format!("conv_in.{leaf}"));
        }
        if let Some(rest) = name.strip_prefix("input_blocks.") {
            let (index, rest) = number(rest)?;
            let block = index.checked_sub(1)?;
            let (level, layer) = (block / per_level, block % per_level);
            let (module, rest) = number(rest)?;
            return Some(match (module, rest.strip_prefix("op.")) {
                (0, Some(leaf)) => format!("down_blocks.{level}.downsamplers.0.conv.{leaf}"),
                (0, None) => format!("down_blocks.{level}.resnets.{layer}.{}", residual(rest)?),
                _ => format!("down_blocks.{level}.attentions.{layer}.{rest}"),
            });
        }
        if let Some(rest) = name.strip_prefix("middle_block.") {
            let (module, rest) = number(rest)?;
            return Some(if module == 1 {
                format!("mid_block.attentions.0.{rest}")
            } else {
                format!("mid_block.resnets.{}.{}", module / 2, residual(rest)?)
            });
        }
        if let Some(rest) = name.strip_prefix("output_blocks.") {
            let (index, rest) = number(rest)?;
            let (level, layer) = (index / per_level, index % per_level);
            let (module, rest) = number(rest)?;
            return Some(match (module, rest.strip_prefix("conv.")) {
                (0, _) => format!("up_blocks.{level}.resnets.{layer}.{}", residual(rest)?),
                (_, Some(leaf)) => format!("up_blocks.{level}.upsamplers.0.conv.{leaf}"),
                _ => format!("up_blocks.{level}.attentions.{layer}.{rest}"),
            });
        }
        let (index, leaf) = number(name.strip_prefix("out.")?)?;
        Some(format!("{}.{leaf}", if index == 0 { "conv_norm_out" } else { "conv_out" }))
    }

    /// The diffusers name of an autoencoder's tensor, both without the network's prefix.
    pub(super) fn vae(&self, name: &str) -> Option<String> {
        let (half, rest) = name.split_once('.')?;
        if matches!(half, "quant_conv" | "post_quant_conv") {
            return Some(name.to_owned());
        }
        if let Some(rest) = rest.strip_prefix("mid.") {
            let (module, rest) = rest.split_once('.')?;
            return Some(match module {
                "block_1" => format!("{half}.mid_block.resnets.0.{}", shortcut(rest)),
                "block_2" => format!("{half}.mid_block.resnets.1.{}", shortcut(rest)),
                "attn_1" => format!("{half}.mid_block.attentions.0.{}", attention(rest)?),
                _ => return None,
            });
        }
        let (side, rest) = match rest.split_once('.')? {
            ("norm_out", leaf) => return Some(format!("{half}.conv_norm_out.{leaf}")),
            ("conv_in" | "conv_out", _) => return Some(name.to_owned()),
            (side @ ("down" | "up"), rest) => (side, rest),
            _ => return None,
        };
        let (level, rest) = number(rest)?;
        // The original numbers the decoder's levels from the highest resolution, too.
        let level = if side == "up" { self.vae_levels.checked_sub(level + 1)? } else { level };
        if let Some(rest) = rest.strip_prefix("block.") {
            let (layer, rest) = number(rest)?;
            return Some(format!("{half}.{side}_blocks.{level}.resnets.{layer}.{}", shortcut(rest)));
        }
        let (sampler, leaf) = rest.split_once(".conv.")?;
        Some(format!("{half}.{side}_blocks.{level}.{sampler}rs.0.conv.{leaf}"))
    }

    /// The transformers names of a tensor of OpenCLIP's text encoder: three for the rows of the joint projection to queries, keys and values. None for
    /// the last layer, whose output Stable Diffusion 2 does not use, and for what only comparing with pictures needs.
    pub(super) fn open_clip(&self, name: &str) -> Vec<String> {
        match name {
            "positional_embedding" => return vec!["text_model.embeddings.position_embedding.weight".to_owned()],
            "token_embedding.weight" => return vec!["text_model.embeddings.token_embedding.weight".to_owned()],
            _ => {}
        }
        if let Some(leaf) = name.strip_prefix("ln_final.") {
            return vec![format!("text_model.final_layer_norm.{leaf}")];
        }
        let Some((layer, rest)) = name.strip_prefix("transformer.resblocks.").and_then(number) else { return Vec::new() };
        if layer + 1 == self.text_layers {
            return Vec::new();
        }
        let layer = format!("text_model.encoder.layers.{layer}");
        if let Some(leaf) = rest.strip_prefix("attn.in_proj_") {
            return ["q", "k", "v"].map(|kind| format!("{layer}.self_attn.{kind}_proj.{leaf}")).to_vec();
        }
        const LEAVES: [(&str, &str); 5] = [
            ("ln_1.", "layer_norm1."),
            ("ln_2.", "layer_norm2."),
            ("mlp.c_fc.", "mlp.fc1."),
            ("mlp.c_proj.", "mlp.fc2."),
            ("attn.out_proj.", "self_attn.out_proj."),
        ];
        let renamed = LEAVES.iter().find_map(|(theirs, ours)| Some(format!("{layer}.{ours}{}", rest.strip_prefix(theirs)?)));
        renamed.into_iter().collect()
    }

    /// Whether every name inside the text encoder that [`Structure::open_clip`] leaves out is one that is not needed.
    pub(super) fn unneeded_by_text(&self, name: &str) -> bool {
        let last = format!("transformer.resblocks.{}.", self.text_layers.saturating_sub(1));
        matches!(name, "text_projection" | "logit_scale" | "attn_mask") || name.starts_with(&last)
    }
}

/// The number at the start of a name, and what stands behind its dot.
fn number(name: &str) -> Option<(usize, &str)> {
    let (first, rest) = name.split_once('.')?;
    Some((first.parse().ok()?, rest))
}

/// Inside a residual block of the UNet.
fn residual(name: &str) -> Option<String> {
    const MODULES: [(&str, &str); 6] = [
        ("in_layers.0.", "norm1."),
        ("in_layers.2.", "conv1."),
        ("emb_layers.1.", "time_emb_proj."),
        ("out_layers.0.", "norm2."),
        ("out_layers.3.", "conv2."),
        ("skip_connection.", "conv_shortcut."),
    ];
    MODULES.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)))
}

/// Inside a residual block of the autoencoder.
fn shortcut(name: &str) -> String {
    name.replace("nin_shortcut.", "conv_shortcut.")
}

/// Inside the autoencoder's attention.
fn attention(name: &str) -> Option<String> {
    const MODULES: [(&str, &str); 5] = [("norm.", "group_norm."), ("q.", "to_q."), ("k.", "to_k."), ("v.", "to_v."), ("proj_out.", "to_out.0.")];
    MODULES.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)))
}
