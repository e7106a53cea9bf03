//! One op of a pass with its sizes: what it computes and what it moves.

use crate::profiling::Ceilings;
use crate::tensor::DType;

/// An op that a GPU spends its time on, for one sample.
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
    /// The gradient of a convolution's input, by the fields of [`Op::Conv`].
    ConvToInput {
        /// Positions of the output's gradient.
        cells: usize,
        /// Positions of the input's.
        from_cells: usize,
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
        /// Height and width of the window.
        kernel: usize,
        /// Step of the window.
        stride: usize,
    },
    /// The gradient of a fully connected layer's input.
    LinearToInput {
        /// Rows of a sample.
        rows: usize,
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
    },
    /// The gradients of attention's keys and values and, where `to_queries`, of its queries.
    AttentionToInputs {
        /// Queries of a sample.
        rows: usize,
        /// Keys of a sample.
        columns: usize,
        /// Heads.
        heads: usize,
        /// Channels of a head.
        width: usize,
        /// Whether the queries' gradient is wanted.
        to_queries: bool,
    },
    /// The gradient of group normalisation's input.
    GroupNormToInput {
        /// Positions of a sample.
        positions: usize,
        /// Channels.
        channels: usize,
        /// Groups.
        groups: usize,
    },
    /// The gradient of layer normalisation's input.
    LayerNormToInput {
        /// Rows of a sample.
        rows: usize,
        /// Channels.
        channels: usize,
    },
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
            Self::Conv { cells, inputs, outputs, kernel, .. } | Self::ConvToInput { cells, inputs, outputs, kernel, .. } => {
                product([cells, kernel * kernel * inputs, outputs])
            }
            Self::Linear { rows, inputs, outputs, .. } | Self::LinearToInput { rows, inputs, outputs } => product([rows, inputs, outputs]),
            Self::Attention { rows, columns, heads, width } => 2.0 * product([rows, columns, heads * width]),
            // The probabilities once more, their gradient, and one product for each gradient of an input.
            Self::AttentionToInputs { rows, columns, heads, width, to_queries } => {
                (4.0 + f64::from(u8::from(to_queries))) * product([rows, columns, heads * width])
            }
            Self::GroupNorm { .. } | Self::LayerNorm { .. } | Self::GroupNormToInput { .. } | Self::LayerNormToInput { .. } | Self::Moving { .. } => {
                0.0
            }
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
            Self::ConvToInput { cells, from_cells, inputs, outputs, kernel, .. } => {
                [from_cells * inputs + cells * outputs, kernel * kernel * inputs * outputs]
            }
            Self::LinearToInput { rows, inputs, outputs } => [rows * (inputs + outputs), inputs * outputs],
            // Every input and the output are read, every gradient but the output's is written.
            Self::AttentionToInputs { rows, columns, heads, width, to_queries } => {
                [((3 + usize::from(to_queries)) * rows + 4 * columns) * heads * width, 0]
            }
            Self::GroupNormToInput { positions, channels, .. } => [3 * positions * channels, 2 * channels],
            Self::LayerNormToInput { rows, channels } => [3 * rows * channels, channels],
            Self::Moving { read, written, .. } => [read + written, 0],
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
