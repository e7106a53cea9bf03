//! What a training step has beyond the forward pass of inference: the gradients that flow back to the context, with the model frozen; what is computed once
//! for all steps there and at each step here; and what inference does in place. Gradients stand behind their op, in no other order: a sum needs none.

use super::Plan;
use super::op::{Attention, Epilogue, Linear, Op};

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// No gradient is wanted.
    Inference,
    /// Whether what is computed now depends on the context already, so that gradients flow through it.
    Training { tracks: bool },
}

/// The op that computes the gradient of an op's input.
pub(super) fn gradient(op: &Op) -> Option<Op> {
    Some(match *op {
        Op::Conv { sizes, .. } => Op::ConvToInput(sizes),
        Op::Linear { sizes, .. } => Op::LinearToInput(sizes),
        Op::Attention(sizes) => Op::AttentionToInputs { sizes, to_queries: true },
        Op::GroupNorm(sizes) => Op::GroupNormToInput(sizes),
        Op::LayerNorm(sizes) => Op::LayerNormToInput(sizes),
        _ => return None,
    })
}

impl Plan {
    fn trains(&self) -> bool {
        self.course != Course::Inference
    }

    /// Whether gradients flow through what is computed now.
    pub(super) fn tracks(&self) -> bool {
        self.course == Course::Training { tracks: true }
    }

    fn moving(&mut self, entry: &'static str, read: usize, written: usize) {
        self.ops.push(Op::Moving { entry, read, written });
    }

    /// Two gradients of the same tensor are added.
    pub(super) fn gradients_meet(&mut self, elements: usize) {
        if self.tracks() {
            self.moving("tensor_add", 2 * elements, elements);
        }
    }

    /// A projection of the time's embedding: inference computes those of all steps at once.
    pub(super) fn time_embedding(&mut self, time: usize, channels: usize) {
        if self.trains() {
            self.ops.push(Op::Linear { sizes: Linear { rows: 1, inputs: time, outputs: channels }, epilogue: Epilogue::Nothing });
        }
    }

    /// The context's keys and values, which inference computes once for all steps; both gradients flow to the context.
    pub(super) fn keys_and_values(&mut self, tokens: usize, inputs: usize, outputs: usize) {
        if self.trains() {
            for is_second in [false, true] {
                let op = Op::Linear { sizes: Linear { rows: tokens, inputs, outputs }, epilogue: Epilogue::Nothing };
                self.ops.extend([Some(op), gradient(&op)].into_iter().flatten());
                // The very first gradient of the context meets no other.
                if is_second || self.tracks() {
                    self.moving("tensor_add", 2 * tokens * inputs, tokens * inputs);
                }
            }
        }
    }

    /// Attention to the context. From the first on gradients flow through all that follows.
    pub(super) fn attention_to_context(&mut self, sizes: Attention) {
        let to_queries = self.tracks();
        self.ops.push(Op::Attention(sizes));
        if self.trains() {
            self.ops.push(Op::AttentionToInputs { sizes, to_queries });
            self.course = Course::Training { tracks: true };
        }
    }

    /// A layer whose second half of the outputs gates the first. In training the product is kept.
    pub(super) fn gated(&mut self, rows: usize, inputs: usize, outputs: usize) {
        if !self.trains() {
            return self.linear_with(rows, inputs, outputs, Epilogue::Gate);
        }
        self.linear(rows, inputs, outputs);
        let (product, result) = (rows * outputs, rows * outputs / 2);
        self.moving("geglu", product, result);
        self.moving("geglu_gradient", product + result, product);
    }

    /// Positions of the tensor in memory that the convolution behind an upsampling reads: in training, the larger one's.
    pub(super) fn upsampled(&mut self, cells: usize, from_cells: usize, channels: usize) -> usize {
        if !self.trains() {
            return from_cells;
        }
        self.moving("upsample_forward", from_cells * channels, cells * channels);
        self.moving("upsample_gradient", cells * channels, from_cells * channels);
        cells
    }

    /// Two tensors' channels beside each other, which inference leaves where they lie. The second one's gradient, where it has one, meets that of the way
    /// down.
    pub(super) fn joined(&mut self, cells: usize, channels: [usize; 2], second_has_gradient: bool) {
        if self.trains() {
            for (elements, has_gradient) in channels.map(|channels| cells * channels).into_iter().zip([true, second_has_gradient]) {
                self.moving("shape_copy", elements, elements);
                if has_gradient {
                    self.moving("shape_copy", elements, elements);
                }
            }
            if second_has_gradient {
                self.gradients_meet(cells * channels[1]);
            }
        }
    }
}
