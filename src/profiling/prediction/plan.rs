//! The ops of one pass of a network with their sizes, in the order of the program, from the network's config alone.

use crate::models::unet::{BlockKind, UnetConfig};
use crate::models::vae::VaeConfig;
use crate::profiling::Ceilings;
use crate::tensor::DType;

/// An op that a GPU spends its time on. Views, and what is computed once for all steps, are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A convolution of `kernel` x `kernel` taps.
    Conv {
        /// Output positions of a sample.
        cells: usize,
        /// Input positions of a sample in memory.
        from_cells: usize,
        /// Channels.
        inputs: usize,
        /// Channels.
        outputs: usize,
        /// Height and width of the window.
        kernel: usize,
        /// Step of the window.
        stride: usize,
        /// Whether a tensor of the output's size is added.
        residual: bool,
    },
    /// A fully connected layer.
    Linear {
        /// Rows of a sample.
        rows: usize,
        /// Channels.
        inputs: usize,
        /// Channels of the product.
        outputs: usize,
        /// What follows it.
        epilogue: Epilogue,
    },
    /// softmax(q kᵀ) v.
    Attention {
        /// Queries of a sample.
        rows: usize,
        /// Keys of a sample.
        columns: usize,
        /// Heads.
        heads: usize,
        /// Channels of a head.
        width: usize,
    },
    /// Group normalisation, with or without SiLU.
    GroupNorm {
        /// Positions of a sample.
        positions: usize,
        /// Channels.
        channels: usize,
        /// Groups.
        groups: usize,
    },
    /// Layer normalisation.
    LayerNorm {
        /// Rows of a sample.
        rows: usize,
        /// Channels.
        channels: usize,
    },
}

/// What follows a linear layer's product on its way to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// Nothing but a bias.
    Nothing,
    /// A tensor of the result's size is added.
    Residual,
    /// Half of the channels are multiplied by the other half's gelu.
    Gate,
}

impl Op {
    /// Operations of the products of one sample.
    pub fn operations(&self) -> f64 {
        let product = |sizes: [usize; 3]| 2.0 * sizes.iter().map(|&size| size as f64).product::<f64>();
        match *self {
            Self::Conv { cells, inputs, outputs, kernel, .. } => product([cells, kernel * kernel * inputs, outputs]),
            Self::Linear { rows, inputs, outputs, .. } => product([rows, inputs, outputs]),
            Self::Attention { rows, columns, heads, width } => 2.0 * product([rows, columns, heads * width]),
            _ => 0.0,
        }
    }

    /// Bytes that are read and written for a batch.
    pub fn bytes(&self, batch: usize, element: DType) -> f64 {
        let [of_sample, once] = self.elements();
        ((of_sample * batch + once) * element.bytes()) as f64
    }

    /// Elements that are read and written: of one sample, and once for all samples (weights).
    pub fn elements(&self) -> [usize; 2] {
        match *self {
            Self::Conv { cells, from_cells, inputs, outputs, kernel, residual, .. } => {
                [from_cells * inputs + (1 + usize::from(residual)) * cells * outputs, kernel * kernel * inputs * outputs + outputs]
            }
            Self::Linear { rows, inputs, outputs, epilogue } => {
                let moved = match epilogue {
                    Epilogue::Nothing => outputs,
                    Epilogue::Residual => 2 * outputs,
                    Epilogue::Gate => outputs / 2,
                };
                [rows * (inputs + moved), inputs * outputs + outputs]
            }
            Self::Attention { rows, columns, heads, width } => [2 * (rows + columns) * heads * width, 0],
            Self::GroupNorm { positions, channels, .. } => [2 * positions * channels, 2 * channels],
            Self::LayerNorm { rows, channels } => [2 * rows * channels, 2 * channels],
        }
    }
}

/// What a pass has to do at least: each op reads its inputs and weights once and writes its output once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Least {
    /// Bytes.
    pub bytes: f64,
    /// Milliseconds by the roofline, op by op.
    pub milliseconds: f64,
}

impl Least {
    /// Of a batch of so many samples in `element`.
    pub fn of(plan: &[Op], batch: usize, element: DType, ceilings: &Ceilings) -> Self {
        plan.iter().fold(Self::default(), |sum, op| {
            let bytes = op.bytes(batch, element);
            let milliseconds = ceilings.floor(op.operations() * batch as f64, bytes as u64, Some(element));
            Self { bytes: sum.bytes + bytes, milliseconds: sum.milliseconds + milliseconds }
        })
    }
}

/// Ops as they are collected.
struct Plan {
    groups: usize,
    ops: Vec<Op>,
}

impl Plan {
    fn conv(&mut self, cells: usize, inputs: usize, outputs: usize, residual: bool) {
        self.ops.push(Op::Conv { cells, from_cells: cells, inputs, outputs, kernel: 3, stride: 1, residual });
    }

    fn halve(&mut self, cells: usize, from_cells: usize, channels: usize) {
        self.ops.push(Op::Conv { cells, from_cells, inputs: channels, outputs: channels, kernel: 3, stride: 2, residual: false });
    }

    fn double(&mut self, cells: usize, from_cells: usize, channels: usize) {
        self.ops.push(Op::Conv { cells, from_cells, inputs: channels, outputs: channels, kernel: 3, stride: 1, residual: false });
    }

    fn linear(&mut self, rows: usize, inputs: usize, outputs: usize) {
        self.linear_with(rows, inputs, outputs, Epilogue::Nothing);
    }

    fn linear_with(&mut self, rows: usize, inputs: usize, outputs: usize, epilogue: Epilogue) {
        self.ops.push(Op::Linear { rows, inputs, outputs, epilogue });
    }

    fn norm(&mut self, positions: usize, channels: usize) {
        self.ops.push(Op::GroupNorm { positions, channels, groups: self.groups });
    }

    fn resnet(&mut self, cells: usize, inputs: usize, outputs: usize) {
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
        self.norm(positions, channels);
        self.linear(positions, channels, channels);
        for _ in 0..config.transformer_layers_per_block.at(level) {
            for columns in [positions, tokens] {
                self.ops.push(Op::LayerNorm { rows: positions, channels });
                // Keys and values of the context are computed once for all steps.
                (0..if columns == positions { 3 } else { 1 }).for_each(|_| self.linear(positions, channels, channels));
                self.ops.push(Op::Attention { rows: positions, columns, heads, width: channels / heads });
                self.linear_with(positions, channels, channels, Epilogue::Residual);
            }
            self.ops.push(Op::LayerNorm { rows: positions, channels });
            self.linear_with(positions, channels, 8 * channels, Epilogue::Gate);
            self.linear_with(positions, 4 * channels, channels, Epilogue::Residual);
        }
        self.linear_with(positions, channels, channels, Epilogue::Residual);
    }
}

/// One denoising step of the UNet; embeddings of the time, keys and values of the context are there already.
pub fn unet(config: &UnetConfig, height: usize, width: usize, tokens: usize) -> Vec<Op> {
    let channels = &config.block_out_channels;
    let cells = |level: usize| height.div_ceil(1 << level) * width.div_ceil(1 << level);
    let lowest = config.levels() - 1;
    let mut plan = Plan { groups: config.norm_num_groups, ops: Vec::new() };
    plan.conv(cells(0), config.in_channels, channels[0], false);
    for level in 0..=lowest {
        for layer in 0..config.layers_per_block.at(level) {
            plan.resnet(cells(level), channels[if layer == 0 { level.saturating_sub(1) } else { level }], channels[level]);
            if config.down_block_types[level] == BlockKind::CrossAttention {
                plan.transformer(config, level, cells(level), tokens);
            }
        }
        if level < lowest {
            plan.halve(cells(level + 1), cells(level), channels[level]);
        }
    }
    plan.resnet(cells(lowest), channels[lowest], channels[lowest]);
    plan.transformer(config, lowest, cells(lowest), tokens);
    plan.resnet(cells(lowest), channels[lowest], channels[lowest]);
    for level in (0..=lowest).rev() {
        let layers = config.layers_per_block.at(level);
        for layer in 0..=layers {
            let hidden = channels[if layer == 0 { (level + 1).min(lowest) } else { level }];
            let inputs = hidden + channels[if layer == layers { level.saturating_sub(1) } else { level }];
            plan.resnet(cells(level), inputs, channels[level]);
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
            self.ops.push(Op::Attention { rows: cells, columns: cells, heads: 1, width: channels });
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
    let mut plan = Plan { groups: config.norm_num_groups, ops: Vec::new() };
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
    let mut plan = Plan { groups: config.norm_num_groups, ops: Vec::new() };
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
