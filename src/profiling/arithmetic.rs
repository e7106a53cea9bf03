//! How much arithmetic a model's forward pass is: floating-point operations (two for each multiply-add) of its products. What a faster algorithm
//! saves is counted all the same, so that rates compare.

use crate::models::unet::{BlockKind, UnetConfig};
use crate::models::vae::VaeConfig;

/// Operations of a product of `[rows, depth]` and `[depth, columns]`.
fn product(rows: usize, depth: usize, columns: usize) -> f64 {
    2.0 * rows as f64 * depth as f64 * columns as f64
}

/// A 3x3 convolution with `cells` outputs.
fn conv(cells: usize, inputs: usize, outputs: usize) -> f64 {
    product(cells, 9 * inputs, outputs)
}

fn resnet(cells: usize, inputs: usize, outputs: usize) -> f64 {
    let shortcut = if inputs == outputs { 0.0 } else { product(cells, inputs, outputs) };
    conv(cells, inputs, outputs) + conv(cells, outputs, outputs) + shortcut
}

/// Scores and weighted values of attention over all heads.
fn attention(rows: usize, columns: usize, channels: usize) -> f64 {
    2.0 * product(rows, channels, columns)
}

/// One sample through the UNet. The time embedding, a few thousandths, is left out.
pub fn unet(config: &UnetConfig, height: usize, width: usize, tokens: usize) -> f64 {
    let channels = &config.block_out_channels;
    let cells = |level: usize| height.div_ceil(1 << level) * width.div_ceil(1 << level);
    let transformer = |level: usize| {
        let (positions, channels) = (cells(level), channels[level]);
        let own = product(positions, channels, 4 * channels) + attention(positions, positions, channels);
        let cross = product(positions, channels, 2 * channels)
            + product(tokens, config.cross_attention_dim.at(level), 2 * channels)
            + attention(positions, tokens, channels);
        let feed_forward = product(positions, channels, 12 * channels);
        product(positions, channels, 2 * channels) + config.transformer_layers_per_block.at(level) as f64 * (own + cross + feed_forward)
    };
    let attended = |kind: BlockKind, level: usize| if kind == BlockKind::CrossAttention { transformer(level) } else { 0.0 };
    let lowest = config.levels() - 1;
    let mut total = conv(cells(0), config.in_channels, channels[0]) + conv(cells(0), channels[0], config.out_channels);
    total += 2.0 * resnet(cells(lowest), channels[lowest], channels[lowest]) + transformer(lowest);
    for level in 0..config.levels() {
        let (above, below) = (channels[level.saturating_sub(1)], channels[(level + 1).min(lowest)]);
        let layers = config.layers_per_block.at(level);
        for layer in 0..layers {
            total += resnet(cells(level), if layer == 0 { above } else { channels[level] }, channels[level]);
            total += attended(config.down_block_types[level], level);
        }
        for layer in 0..=layers {
            let hidden = if layer == 0 { below } else { channels[level] };
            let skip = if layer == layers { above } else { channels[level] };
            total += resnet(cells(level), hidden + skip, channels[level]) + attended(config.up_block_types[lowest - level], level);
        }
        if level < lowest {
            // The convolution that halves and the one after doubling.
            total += conv(cells(level + 1), channels[level], channels[level]) + conv(cells(level), below, below);
        }
    }
    total
}

/// One latent of `height` x `width` through the autoencoder's decoder.
pub fn vae_decoder(config: &VaeConfig, height: usize, width: usize) -> f64 {
    let channels = &config.block_out_channels;
    let lowest = channels.len() - 1;
    let cells = |level: usize| (height * width) << (2 * (lowest - level));
    let bottom = channels[lowest];
    let mut total = conv(cells(lowest), config.latent_channels, bottom) + conv(cells(0), channels[0], config.out_channels);
    total += 2.0 * resnet(cells(lowest), bottom, bottom);
    if config.mid_block_add_attention {
        total += product(cells(lowest), bottom, 4 * bottom) + attention(cells(lowest), cells(lowest), bottom);
    }
    for level in 0..=lowest {
        let below = channels[(level + 1).min(lowest)];
        total += resnet(cells(level), below, channels[level]);
        total += config.layers_per_block as f64 * resnet(cells(level), channels[level], channels[level]);
        if level > 0 {
            total += conv(cells(level - 1), channels[level], channels[level]);
        }
    }
    total
}
