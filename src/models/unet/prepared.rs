//! What the network computes from its time steps and its context alone: once for all passes that share them.

use std::slice;

use crate::autograd::Var;
use crate::device::recording;
use crate::error::{Result, anyhow, ensure};
use crate::models::blocks::ResnetBlock;
use crate::models::unet::Unet;
use crate::models::unet::transformer::{KeyValue, Transformer};
use crate::ops::{self, Reweighting};
use crate::tensor::Tensor;
use crate::tensor::replay::Tensors;

/// K and V of every cross-attention layer for one context; [`Unet::prepare_context`]. Gradients flow through it.
#[derive(Clone, Debug)]
pub struct PreparedContext {
    pub(super) batch: usize,
    /// In the order in which a pass comes to them.
    layers: Vec<KeyValue>,
}

/// What each residual block adds for some time steps; [`Unet::prepare_times`]. Gradients flow through it.
#[derive(Clone, Debug)]
pub struct PreparedTimes {
    /// `[time steps, channels]` each, in the order in which a pass comes to them.
    blocks: Vec<Var>,
}

impl Tensors for PreparedContext {
    fn map_tensors(&self, change: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let mut changed = |layer: &KeyValue| {
            let (key, value) = (Var::constant(change(&layer.key)?), Var::constant(change(&layer.value)?));
            Ok(KeyValue { key, value })
        };
        Ok(Self { batch: self.batch, layers: self.layers.iter().map(&mut changed).collect::<Result<_>>()? })
    }
}

impl PreparedTimes {
    /// What belongs to some of the time steps: i32 `rows [batch]` are positions among them, on the network's device. No gradient flows through it.
    pub fn at(&self, rows: &Tensor) -> Result<Self> {
        let row = |block: &Var| Ok(Var::constant(ops::rows(block, rows)?));
        Ok(Self { blocks: self.blocks.iter().map(row).collect::<Result<_>>()? })
    }

    pub(super) fn count(&self) -> usize {
        self.blocks.first().map_or(0, |block| block.dim(0))
    }
}

impl Unet {
    /// K and V of every cross-attention layer.
    ///
    /// # Shapes
    /// `context [batch, tokens, cross_attention_dim]`, anywhere.
    pub fn prepare_context(&self, context: &Var) -> Result<PreparedContext> {
        let [batch, _, width] = context.dims()?;
        let expected = self.config.cross_attention_dim.at(0);
        ensure!(width == expected, "the context is {width} wide, the UNet expects {expected}");
        let _network = recording::network("unet");
        let context = self.placement().enter(context)?;
        let layers = self.transformers().map(|transformer| transformer.keys_and_values(&context)).collect::<Result<Vec<_>>>()?;
        Ok(PreparedContext { batch, layers: layers.into_iter().flatten().collect() })
    }

    /// What each residual block adds at each of i32 `timesteps [count]`, which are best in host memory.
    pub fn prepare_times(&self, timesteps: &Tensor) -> Result<PreparedTimes> {
        let _network = recording::network("unet");
        let activated = self.time_embedding.forward_silu(timesteps)?;
        Ok(PreparedTimes { blocks: self.resnets().map(|resnet| resnet.project_time(&activated)).collect::<Result<_>>()? })
    }

    fn resnets(&self) -> impl Iterator<Item = &ResnetBlock> {
        let (down, up) = (self.down.iter().flat_map(|stage| &stage.resnets), self.up.iter().flat_map(|stage| &stage.resnets));
        down.chain([&self.middle.first, &self.middle.second]).chain(up)
    }

    fn transformers(&self) -> impl Iterator<Item = &Transformer> {
        let (down, up) = (self.down.iter().flat_map(|stage| &stage.transformers), self.up.iter().flat_map(|stage| &stage.transformers));
        down.chain([&self.middle.transformer]).chain(up)
    }
}

/// What steers one pass beside the noisy latent: each layer takes its share.
pub(super) struct Conditioning<'a> {
    times: slice::Iter<'a, Var>,
    layers: slice::Iter<'a, KeyValue>,
    /// One entry a level, the highest resolution first; empty when nothing is re-weighted.
    reweighting: Vec<Reweighting>,
}

impl<'a> Conditioning<'a> {
    pub(super) fn new(times: &'a PreparedTimes, context: &'a PreparedContext, reweighting: Vec<Reweighting>) -> Self {
        Self { times: times.blocks.iter(), layers: context.layers.iter(), reweighting }
    }

    /// The next residual block's share, `[batch, channels]`.
    pub(super) fn next_time(&mut self) -> Result<&'a Var> {
        self.times.next().ok_or_else(|| anyhow!("time steps were prepared by another network with fewer residual blocks"))
    }

    /// The next cross-attention layer's.
    pub(super) fn next_key_value(&mut self) -> Result<&'a KeyValue> {
        self.layers.next().ok_or_else(|| anyhow!("the context was prepared by another network with fewer transformers"))
    }

    /// Weights of a level's positions.
    pub(super) fn reweighting(&self, level: usize) -> Option<&Reweighting> {
        self.reweighting.get(level)
    }
}
