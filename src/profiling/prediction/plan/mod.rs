//! The ops of one pass of a network with their sizes, from the network's config alone. Views are left out.

mod op;
mod training;

use crate::models::unet::{BlockKind, UnetConfig};
use crate::models::vae::VaeConfig;
pub use op::{Attention, Convolution, Epilogue, GroupNorm, LayerNorm, Least, Linear, Op};
use training::{Course, gradient};

/// Ops as they are collected.
struct Plan {
    groups: usize,
    ops: Vec<Op>,
    course: Course,
}

impl Plan {
    fn new(groups: usize, course: Course) -> Self {
        Self { groups, ops: Vec::new(), course }
    }

    /// The op and, where one is wanted, its input's gradient.
    fn push(&mut self, op: Op) {
        self.ops.push(op);
        if self.tracks() {
            self.ops.extend(gradient(&op));
        }
    }

    fn conv(&mut self, cells: usize, inputs: usize, outputs: usize, residual: bool) {
        self.push(Op::Conv { sizes: Convolution { cells, from_cells: cells, inputs, outputs, kernel: 3, stride: 1 }, residual });
    }

    fn halve(&mut self, cells: usize, from_cells: usize, channels: usize) {
        self.push(Op::Conv { sizes: Convolution { cells, from_cells, inputs: channels, outputs: channels, kernel: 3, stride: 2 }, residual: false });
    }

    fn double(&mut self, cells: usize, from_cells: usize, channels: usize) {
        let from_cells = self.upsampled(cells, from_cells, channels);
        self.push(Op::Conv { sizes: Convolution { cells, from_cells, inputs: channels, outputs: channels, kernel: 3, stride: 1 }, residual: false });
    }

    fn linear(&mut self, rows: usize, inputs: usize, outputs: usize) {
        self.linear_with(rows, inputs, outputs, Epilogue::Nothing);
    }

    fn linear_with(&mut self, rows: usize, inputs: usize, outputs: usize, epilogue: Epilogue) {
        self.push(Op::Linear { sizes: Linear { rows, inputs, outputs }, epilogue });
    }

    fn norm(&mut self, positions: usize, channels: usize) {
        self.push(Op::GroupNorm(GroupNorm { positions, channels, groups: self.groups }));
    }

    fn resnet(&mut self, cells: usize, inputs: usize, outputs: usize) {
        // The block and its shortcut have the same input.
        self.gradients_meet(cells * inputs);
        self.norm(cells, inputs);
        self.conv(cells, inputs, outputs, false);
        self.norm(cells, outputs);
        if inputs != outputs {
            self.linear(cells, inputs, outputs);
        }
        self.conv(cells, outputs, outputs, true);
    }

    /// Self-attention, cross-attention and the gated layer behind each other, `layers` times, between two projections.
    fn transformer(&mut self, config: &UnetConfig, level: usize, positions: usize, tokens: usize) {
        let (channels, heads) = (config.block_out_channels[level], config.heads().at(level));
        let width = channels / heads;
        self.gradients_meet(positions * channels);
        self.norm(positions, channels);
        self.linear(positions, channels, channels);
        for _ in 0..config.transformer_layers_per_block.at(level) {
            // Attention to itself: the layer and its shortcut, queries, keys and values have the same input.
            (0..3).for_each(|_| self.gradients_meet(positions * channels));
            self.push(Op::LayerNorm(LayerNorm { rows: positions, channels }));
            (0..3).for_each(|_| self.linear(positions, channels, channels));
            self.push(Op::Attention(Attention { rows: positions, columns: positions, heads, width }));
            self.linear_with(positions, channels, channels, Epilogue::Residual);
            // To the context.
            self.gradients_meet(positions * channels);
            self.push(Op::LayerNorm(LayerNorm { rows: positions, channels }));
            self.linear(positions, channels, channels);
            self.keys_and_values(tokens, config.cross_attention_dim.at(level), channels);
            self.attention_to_context(Attention { rows: positions, columns: tokens, heads, width });
            self.linear_with(positions, channels, channels, Epilogue::Residual);
            self.gradients_meet(positions * channels);
            self.push(Op::LayerNorm(LayerNorm { rows: positions, channels }));
            self.gated(positions, channels, 8 * channels);
            self.linear_with(positions, 4 * channels, channels, Epilogue::Residual);
        }
        self.linear_with(positions, channels, channels, Epilogue::Residual);
    }
}

/// One denoising step of the UNet; embeddings of the time, keys and values of the context are there already.
pub fn unet(config: &UnetConfig, height: usize, width: usize, tokens: usize) -> Vec<Op> {
    unet_in(Course::Inference, config, height, width, tokens)
}

/// The UNet, and the gradient of what it predicts to its context: a training step.
pub fn unet_training(config: &UnetConfig, height: usize, width: usize, tokens: usize) -> Vec<Op> {
    unet_in(Course::Training { tracks: false }, config, height, width, tokens)
}

fn unet_in(course: Course, config: &UnetConfig, height: usize, width: usize, tokens: usize) -> Vec<Op> {
    let channels = &config.block_out_channels;
    let cells = |level: usize| height.div_ceil(1 << level) * width.div_ceil(1 << level);
    let lowest = config.levels() - 1;
    let mut plan = Plan::new(config.norm_num_groups, course);
    let time = 4 * channels[0];
    plan.conv(cells(0), config.in_channels, channels[0], false);
    for level in 0..=lowest {
        for layer in 0..config.layers_per_block.at(level) {
            plan.time_embedding(time, channels[level]);
            plan.resnet(cells(level), channels[if layer == 0 { level.saturating_sub(1) } else { level }], channels[level]);
            if config.down_block_types[level] == BlockKind::CrossAttention {
                plan.transformer(config, level, cells(level), tokens);
            }
        }
        if level < lowest {
            plan.halve(cells(level + 1), cells(level), channels[level]);
        }
    }
    (0..2).for_each(|_| plan.time_embedding(time, channels[lowest]));
    plan.resnet(cells(lowest), channels[lowest], channels[lowest]);
    plan.transformer(config, lowest, cells(lowest), tokens);
    plan.resnet(cells(lowest), channels[lowest], channels[lowest]);
    for level in (0..=lowest).rev() {
        let layers = config.layers_per_block.at(level);
        for layer in 0..=layers {
            let hidden = channels[if layer == 0 { (level + 1).min(lowest) } else { level }];
            let beside = channels[if layer == layers { level.saturating_sub(1) } else { level }];
            plan.time_embedding(time, channels[level]);
            // The first layer's output alone was computed without the context.
            plan.joined(cells(level), [hidden, beside], level > 0 || layer < layers);
            plan.resnet(cells(level), hidden + beside, channels[level]);
            if config.up_block_types[lowest - level] == BlockKind::CrossAttention {
                plan.transformer(config, level, cells(level), tokens);
            }
        }
        if level > 0 {
            plan.double(cells(level - 1), cells(level), channels[level]);
        }
    }
    plan.norm(cells(0), channels[0]);
    plan.conv(cells(0), channels[0], config.out_channels, false);
    plan.ops
}

impl Plan {
    /// The lowest resolution of encoder and decoder.
    fn middle(&mut self, config: &VaeConfig, cells: usize, channels: usize) {
        self.resnet(cells, channels, channels);
        if config.mid_block_add_attention {
            self.norm(cells, channels);
            (0..3).for_each(|_| self.linear(cells, channels, channels));
            self.push(Op::Attention(Attention { rows: cells, columns: cells, heads: 1, width: channels }));
            self.linear_with(cells, channels, channels, Epilogue::Residual);
        }
        self.resnet(cells, channels, channels);
    }
}

/// An image through the autoencoder's encoder, to a latent of `height` x `width`.
pub fn vae_encoder(config: &VaeConfig, height: usize, width: usize) -> Vec<Op> {
    let channels = &config.block_out_channels;
    let lowest = channels.len() - 1;
    let cells = |level: usize| (height * width) << (2 * (lowest - level));
    let mut plan = Plan::new(config.norm_num_groups, Course::Inference);
    plan.conv(cells(0), config.in_channels, channels[0], false);
    for level in 0..=lowest {
        for layer in 0..config.layers_per_block {
            plan.resnet(cells(level), channels[if layer == 0 { level.saturating_sub(1) } else { level }], channels[level]);
        }
        if level < lowest {
            plan.halve(cells(level + 1), cells(level), channels[level]);
        }
    }
    plan.middle(config, cells(lowest), channels[lowest]);
    plan.norm(cells(lowest), channels[lowest]);
    plan.conv(cells(lowest), channels[lowest], 2 * config.latent_channels, false);
    if config.use_quant_conv {
        plan.linear(cells(lowest), 2 * config.latent_channels, 2 * config.latent_channels);
    }
    plan.ops
}

/// One latent of `height` x `width` through the autoencoder's decoder.
pub fn vae_decoder(config: &VaeConfig, height: usize, width: usize) -> Vec<Op> {
    let channels = &config.block_out_channels;
    let lowest = channels.len() - 1;
    let cells = |level: usize| (height * width) << (2 * (lowest - level));
    let bottom = channels[lowest];
    let mut plan = Plan::new(config.norm_num_groups, Course::Inference);
    if config.use_post_quant_conv {
        plan.linear(cells(lowest), config.latent_channels, config.latent_channels);
    }
    plan.conv(cells(lowest), config.latent_channels, bottom, false);
    plan.middle(config, cells(lowest), bottom);
    for level in (0..=lowest).rev() {
        let below = channels[(level + 1).min(lowest)];
        plan.resnet(cells(level), below, channels[level]);
        (0..config.layers_per_block).for_each(|_| plan.resnet(cells(level), channels[level], channels[level]));
        if level > 0 {
            plan.double(cells(level - 1), cells(level), channels[level]);
        }
    }
    plan.norm(cells(0), channels[0]);
    plan.conv(cells(0), channels[0], config.out_channels, false);
    plan.ops
}
