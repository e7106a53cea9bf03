//! Where a layer's parameters come from and what they are called.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::Result;
use crate::nn::init::Init;
use crate::nn::parameter::{Layout, Parameter, ParameterSet};
use crate::tensor::Tensor;

/// Gives parameters by their checkpoint names: from files, or freshly initialised.
pub trait ParameterSource {
    /// The parameter `name` in the checkpoint's own layout (conv weights `[out, in, height, width]`) with exactly `shape`. `init` is for sources
    /// that make values. A source that reads files notes a missing or mis-shaped name, returns zeros of the right shape, and reports all of them
    /// together when the model is complete.
    fn fetch(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor>;

    /// [`ParameterSource::fetch`] in the engine's `layout`. A source that brings parameters to a device does so here.
    fn fetch_as(&self, name: &str, shape: &[usize], init: Init, layout: Layout) -> Result<Tensor> {
        layout.from_checkpoint(self.fetch(name, shape, init)?)
    }
}

/// A place in a model: the dotted prefix of its parameters' checkpoint names, and the source that they come from.
///
/// Every parameter fetched through a path or its children is also registered in one [`ParameterSet`], see [`Path::parameters`].
#[derive(Clone)]
pub struct Path<'a> {
    source: &'a dyn ParameterSource,
    prefix: String,
    registered: Arc<Mutex<Vec<Parameter>>>,
}

impl<'a> Path<'a> {
    /// The root of a model: names have no prefix.
    pub fn root(source: &'a dyn ParameterSource) -> Self {
        Self { source, prefix: String::new(), registered: Arc::default() }
    }

    /// The child called `name`; a number is a child too, as in `down_blocks.0`.
    pub fn child(&self, name: impl Display) -> Self {
        let prefix = if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) };
        Self { source: self.source, prefix, registered: Arc::clone(&self.registered) }
    }

    /// The full name of a parameter here.
    pub fn name(&self, leaf: &str) -> String {
        if self.prefix.is_empty() { leaf.to_owned() } else { format!("{}.{leaf}", self.prefix) }
    }

    /// A parameter that the engine keeps as the checkpoint does.
    pub fn parameter(&self, leaf: &str, shape: &[usize], init: Init) -> Result<Parameter> {
        self.with_layout(leaf, shape, init, Layout::Plain)
    }

    /// A parameter whose `shape` is the checkpoint's and which the engine keeps in `layout`.
    pub fn with_layout(&self, leaf: &str, shape: &[usize], init: Init, layout: Layout) -> Result<Parameter> {
        let name = self.name(leaf);
        let value = self.source.fetch_as(&name, shape, init, layout)?;
        Ok(self.register(Parameter::new(name, value, layout)))
    }

    /// A value that is saved but never trained: running statistics.
    pub fn buffer(&self, leaf: &str, shape: &[usize], init: Init) -> Result<Parameter> {
        let name = self.name(leaf);
        let value = self.source.fetch_as(&name, shape, init, Layout::Plain)?;
        Ok(self.register(Parameter::buffer(name, value)))
    }

    fn register(&self, parameter: Parameter) -> Parameter {
        self.registered().push(parameter.clone());
        parameter
    }

    /// All parameters fetched so far through this root, in order of construction. They share their values with the layers.
    pub fn parameters(&self) -> ParameterSet {
        ParameterSet::new(self.registered().clone())
    }

    fn registered(&self) -> MutexGuard<'_, Vec<Parameter>> {
        self.registered.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
