//! An image whose channels lie in one tensor or in two: what a network joins on its way up is read where it lies instead of being copied first.

use crate::autograd::Var;
use crate::error::{Result, ensure};
use crate::ops::shape::concat;

/// Channels of one tensor, or of two behind each other as [`concat()`] would have them.
///
/// # Shapes
/// `[batch, .., first channels]` and `[batch, .., second channels]`, read as `[batch, .., first + second channels]`.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// The only tensor, or the one whose channels come first.
    pub first: &'a Var,
    /// Whose channels come behind.
    pub second: Option<&'a Var>,
}

impl<'a> From<&'a Var> for Joined<'a> {
    fn from(first: &'a Var) -> Self {
        Self { first, second: None }
    }
}

impl<'a> From<[&'a Var; 2]> for Joined<'a> {
    fn from([first, second]: [&'a Var; 2]) -> Self {
        Self { first, second: Some(second) }
    }
}

impl Joined<'_> {
    /// The shape that the joined tensor would have.
    ///
    /// # Errors
    /// When the two differ in more than their last size, in element type or in device.
    pub fn shape(&self) -> Result<Vec<usize>> {
        let mut shape = self.first.shape().to_vec();
        let Some(second) = self.second else { return Ok(shape) };
        let outer = shape.len().saturating_sub(1);
        let fits = second.rank() == shape.len() && outer > 0 && second.shape()[..outer] == shape[..outer];
        ensure!(fits, "channels of shapes {shape:?} and {:?} do not lie beside each other", second.shape());
        let alike = second.dtype() == self.first.dtype() && second.device() == self.first.device();
        ensure!(alike, "channels of {} and {} do not lie beside each other", self.first.dtype(), second.dtype());
        shape[outer] += second.dim(outer);
        Ok(shape)
    }

    /// Channels of the first tensor.
    pub(in crate::ops) fn first_channels(&self) -> usize {
        self.first.shape().last().copied().unwrap_or(0)
    }

    /// Whether a gradient of either is wanted.
    pub fn wants_gradient(&self) -> bool {
        self.first.wants_gradient() || self.second.is_some_and(Var::wants_gradient)
    }

    /// The tensor that is otherwise only read as if it were there.
    ///
    /// # Errors
    /// As [`concat()`].
    pub fn written(&self) -> Result<Var> {
        match self.second {
            None => Ok(self.first.clone()),
            Some(second) => concat(&[self.first, second], self.first.rank().saturating_sub(1)),
        }
    }
}
