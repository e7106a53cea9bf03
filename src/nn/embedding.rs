//! Embedding table.

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::{Init, Parameter, Path};
use crate::ops;
use crate::tensor::Tensor;

/// One row of a table per id.
///
/// # Shapes
/// i32 ids `[..] -> [.., width]`; weight `[rows, width]`.
#[derive(Clone, Debug)]
pub struct Embedding {
    weight: Parameter,
}

impl Embedding {
    /// Checkpoint name: `weight`.
    pub fn new(path: &Path, rows: usize, width: usize) -> Result<Self> {
        Ok(Self { weight: path.parameter("weight", &[rows, width], Init::Normal(0.02))? })
    }

    /// The rows of `ids`.
    pub fn forward(&self, ids: &Tensor) -> Result<Var> {
        ops::embedding(&self.weight.var(), ids)
    }

    /// The table itself.
    pub fn weight(&self) -> &Parameter {
        &self.weight
    }
}
