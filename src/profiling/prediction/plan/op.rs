//! One op of a pass with its sizes: what it computes and what it moves.

use crate::profiling::Ceilings;
use crate::tensor::DType;

/// An op that a GPU spends its time on, for one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A convolution.
    Conv {
        /// Its sizes.
        sizes: Convolution,
        /// Whether a tensor of the output's size is added.
        residual: bool,
    },
    /// A fully connected layer.
    Linear {
        /// Its sizes.
        sizes: Linear,
        /// What follows it.
        epilogue: Epilogue,
    },
    /// softmax(q kᵀ) v.
    Attention(Attention),
    /// Group normalisation, with or without SiLU.
    GroupNorm(GroupNorm),
    /// Layer normalisation.
    LayerNorm(LayerNorm),
    /// The gradient of a convolution's input.
    ConvToInput(Convolution),
    /// The gradient of a fully connected layer's input.
    LinearToInput(Linear),
    /// The gradients of attention's keys and values and, where `to_queries`, of its queries.
    AttentionToInputs {
        /// Its sizes.
        sizes: Attention,
        /// Whether the queries' gradient is wanted.
        to_queries: bool,
    },
    /// The gradient of group normalisation's input.
    GroupNormToInput(GroupNorm),
    /// The gradient of layer normalisation's input.
    LayerNormToInput(LayerNorm),
    /// A kernel that only moves elements: sums, copies, gates.
    Moving {
        /// Its entry point.
        entry: &'static str,
        /// Elements.
        read: usize,
        /// Elements.
        written: usize,
    },
}

/// A convolution of `kernel` x `kernel` taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Output positions of a sample.
    pub cells: usize,
    /// Input positions of a sample in memory.
    pub from_cells: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Height and width of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
}

/// A fully connected layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Rows of a sample.
    pub rows: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the product.
    pub outputs: usize,
}

/// Attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// Queries of a sample.
    pub rows: usize,
    /// Keys of a sample.
    pub columns: usize,
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub width: usize,
}

/// Group normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupNorm {
    /// Positions of a sample.
    pub positions: usize,
    /// Channels.
    pub channels: usize,
    /// Groups.
    pub groups: usize,
}

/// Layer normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerNorm {
    /// Rows of a sample.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
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
            Self::Conv { sizes, .. } | Self::ConvToInput(sizes) => product([sizes.cells, sizes.taps() * sizes.inputs, sizes.outputs]),
            Self::Linear { sizes, .. } | Self::LinearToInput(sizes) => product([sizes.rows, sizes.inputs, sizes.outputs]),
            Self::Attention(sizes) => 2.0 * product([sizes.rows, sizes.columns, sizes.channels()]),
            // The probabilities once more, their gradient, and one product for each gradient of an input.
            Self::AttentionToInputs { sizes, to_queries } => {
                (4.0 + f64::from(u8::from(to_queries))) * product([sizes.rows, sizes.columns, sizes.channels()])
            }
            Self::GroupNorm(_) | Self::LayerNorm(_) | Self::GroupNormToInput(_) | Self::LayerNormToInput(_) | Self::Moving { .. } => 0.0,
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
            Self::Conv { sizes, residual } => {
                let Convolution { cells, outputs, .. } = sizes;
                [sizes.moved() + usize::from(residual) * cells * outputs, sizes.weights() + outputs]
            }
            Self::ConvToInput(sizes) => [sizes.moved(), sizes.weights()],
            Self::Linear { sizes: Linear { rows, inputs, outputs }, epilogue } => {
                let moved = match epilogue {
                    Epilogue::Nothing => outputs,
                    Epilogue::Residual => 2 * outputs,
                    Epilogue::Gate => outputs / 2,
                };
                [rows * (inputs + moved), inputs * outputs + outputs]
            }
            Self::LinearToInput(Linear { rows, inputs, outputs }) => [rows * (inputs + outputs), inputs * outputs],
            Self::Attention(sizes) => [2 * (sizes.rows + sizes.columns) * sizes.channels(), 0],
            // Every input and the output are read, every gradient but the output's is written.
            Self::AttentionToInputs { sizes, to_queries } => [((3 + usize::from(to_queries)) * sizes.rows + 4 * sizes.columns) * sizes.channels(), 0],
            Self::GroupNorm(GroupNorm { positions, channels, .. }) => [2 * positions * channels, 2 * channels],
            Self::GroupNormToInput(GroupNorm { positions, channels, .. }) => [3 * positions * channels, 2 * channels],
            Self::LayerNorm(LayerNorm { rows, channels }) => [2 * rows * channels, 2 * channels],
            Self::LayerNormToInput(LayerNorm { rows, channels }) => [3 * rows * channels, channels],
            Self::Moving { read, written, .. } => [read + written, 0],
        }
    }
}

impl Convolution {
    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Elements of input and output of a sample.
    fn moved(&self) -> usize {
        self.from_cells * self.inputs + self.cells * self.outputs
    }

    fn weights(&self) -> usize {
        self.taps() * self.inputs * self.outputs
    }
}

impl Attention {
    /// Channels of all heads.
    fn channels(&self) -> usize {
        self.heads * self.width
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
