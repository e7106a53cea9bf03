//! A named value of a model: shared between the layer that uses it and the optimiser that moves it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use crate::autograd::{Var, VarId};
use crate::device::recording;
use crate::error::{Result, ensure};
use crate::nn::placement::Placement;
use crate::tensor::Tensor;

/// How the engine keeps a parameter, compared with its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As the checkpoint.
    Plain,
    /// A convolution's weight: `[out, in, height, width]` there, `[out, height, width, in]` here.
    ConvWeight,
    /// The weight of a 1x1 convolution: `[out, in, 1, 1]` there, a linear layer's `[out, in]` here.
    PointwiseWeight,
}

impl Layout {
    /// Whether the elements lie in the same order there and here.
    pub fn keeps_order(self) -> bool {
        match self {
            Self::Plain | Self::PointwiseWeight => true,
            Self::ConvWeight => false,
        }
    }

    /// The engine's shape for a checkpoint's.
    pub fn shape(self, checkpoint: &[usize]) -> Vec<usize> {
        match (self, checkpoint) {
            (Self::ConvWeight, &[outputs, inputs, height, width]) => vec![outputs, height, width, inputs],
            (Self::PointwiseWeight, &[outputs, inputs, ..]) => vec![outputs, inputs],
            _ => checkpoint.to_vec(),
        }
    }

    /// Checkpoint's order to the engine's.
    pub fn from_checkpoint(self, value: Tensor) -> Result<Tensor> {
        match self {
            Self::Plain => Ok(value),
            Self::ConvWeight => value.permute(&[0, 2, 3, 1]),
            Self::PointwiseWeight => value.reshape(&value.shape()[..2]),
        }
    }

    /// The engine's order to the checkpoint's.
    pub fn to_checkpoint(self, value: &Tensor) -> Result<Tensor> {
        match self {
            Self::Plain => Ok(value.clone()),
            Self::ConvWeight => value.permute(&[0, 3, 1, 2]),
            Self::PointwiseWeight => value.reshape(&[value.shape(), &[1, 1]].concat()),
        }
    }
}

/// A named, shared value. Frozen until [`Parameter::set_trainable`].
#[derive(Clone)]
pub struct Parameter {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    layout: Layout,
    id: VarId,
    buffer: bool,
    trainable: AtomicBool,
    value: RwLock<Tensor>,
}

impl Parameter {
    /// A frozen parameter; `value` is in the engine's layout.
    pub fn new(name: String, value: Tensor, layout: Layout) -> Self {
        Self::build(name, value, layout, false)
    }

    /// A value that is saved with the model but never trained: running statistics.
    pub fn buffer(name: String, value: Tensor) -> Self {
        Self::build(name, value, Layout::Plain, true)
    }

    fn build(name: String, value: Tensor, layout: Layout, buffer: bool) -> Self {
        let inner = Inner { name, layout, id: VarId::fresh(), buffer, trainable: AtomicBool::new(false), value: RwLock::new(value) };
        Self { inner: Arc::new(inner) }
    }

    /// The checkpoint name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How the engine keeps it, compared with its checkpoint.
    pub fn layout(&self) -> Layout {
        self.inner.layout
    }

    /// The id of its gradient in [`crate::autograd::Gradients`].
    pub fn id(&self) -> VarId {
        self.inner.id
    }

    /// The value for a forward pass: a leaf when trainable, a constant when frozen. A recording names what is computed next after it.
    pub fn var(&self) -> Var {
        recording::visit(&self.inner.name);
        if self.is_trainable() { Var::leaf_with_id(self.value(), self.inner.id) } else { Var::constant(self.value()) }
    }

    /// The value in the engine's layout.
    pub fn value(&self) -> Tensor {
        self.inner.value.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// The value in the checkpoint's layout.
    pub fn checkpoint_value(&self) -> Result<Tensor> {
        self.inner.layout.to_checkpoint(&self.value())
    }

    /// Where the value is, and its element type.
    pub fn placement(&self) -> Placement {
        let value = self.value();
        Placement { device: value.device(), dtype: value.dtype() }
    }

    /// Brings the value to a device and into an element type.
    ///
    /// # Errors
    /// When the GPU's memory is full (exit code 2).
    pub fn place(&self, placement: Placement) -> Result<()> {
        let mut current = self.inner.value.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        *current = placement.of(&current)?;
        Ok(())
    }

    /// Replaces the value (engine's layout). It goes to the device on which the parameter is.
    ///
    /// # Errors
    /// When the shape differs.
    pub fn set(&self, value: Tensor) -> Result<()> {
        let mut current = self.inner.value.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        ensure!(current.shape() == value.shape(), "parameter {} has shape {:?}, found {:?}", self.inner.name, current.shape(), value.shape());
        *current = value.to_device(current.device())?;
        Ok(())
    }

    /// Replaces the value by one in the checkpoint's layout.
    pub fn set_checkpoint_value(&self, value: Tensor) -> Result<()> {
        self.set(self.inner.layout.from_checkpoint(value)?)
    }

    /// Changes the elements; `change` gets them in the engine's layout. In place in host memory; through a copy there when they are on a GPU, which is
    /// for what happens once.
    pub fn update(&self, change: impl FnOnce(&mut [f32])) -> Result<()> {
        let mut current = self.inner.value.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(elements) = current.f32s_mut() {
            change(elements);
            return Ok(());
        }
        let mut elements = current.to_f32_vec()?;
        change(&mut elements);
        *current = Tensor::from_f32(elements, current.shape())?.to_device(current.device())?;
        Ok(())
    }

    /// Whether gradients are recorded for it.
    pub fn is_trainable(&self) -> bool {
        self.inner.trainable.load(Ordering::Relaxed)
    }

    /// Frozen (false) or trained (true); a buffer stays frozen.
    pub fn set_trainable(&self, trainable: bool) {
        self.inner.trainable.store(trainable && !self.inner.buffer, Ordering::Relaxed);
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.name(), self.value().shape())
    }
}

/// The parameters of a model, in order of construction.
#[derive(Clone, Debug, Default)]
pub struct ParameterSet {
    parameters: Vec<Parameter>,
}

impl ParameterSet {
    /// A set of parameters.
    pub fn new(parameters: Vec<Parameter>) -> Self {
        Self { parameters }
    }

    /// In order of construction.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter()
    }

    /// How many parameters (tensors) there are.
    pub fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// How many numbers there are.
    pub fn elements(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.value().elements()).sum()
    }

    /// Names and values as a checkpoint has them.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        self.parameters.iter().map(|parameter| Ok((parameter.name().to_owned(), parameter.checkpoint_value()?))).collect()
    }

    /// Brings all of them to a device and into an element type.
    ///
    /// # Errors
    /// When the GPU's memory is full (exit code 2).
    pub fn place(&self, placement: Placement) -> Result<()> {
        self.parameters.iter().try_for_each(|parameter| parameter.place(placement))
    }

    /// Freezes or trains all of them.
    pub fn set_trainable(&self, trainable: bool) {
        self.parameters.iter().for_each(|parameter| parameter.set_trainable(trainable));
    }

    /// Both sets together.
    pub fn join(mut self, other: ParameterSet) -> Self {
        self.parameters.extend(other.parameters);
        self
    }
}
