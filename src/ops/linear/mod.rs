//! Fully connected: y = x Wᵀ + b over the last axis.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::invalid_input;
use crate::tensor::Tensor;

/// The sizes of one application, checked once.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    /// Product of all axes of `x` but the last.
    rows: usize,
    inputs: usize,
    outputs: usize,
}

impl Geometry {
    fn new(x: &[usize], weight: &[usize], bias: Option<&[usize]>) -> Result<Self> {
        let &[outputs, inputs] = weight else { invalid_input!("linear: expected a weight [out, in], found shape {weight:?}") };
        let Some((&last, outer)) = x.split_last() else { invalid_input!("linear: expected x [.., {inputs}], found a scalar") };
        if last != inputs {
            invalid_input!("linear: the weight {weight:?} takes {inputs} inputs, found x of shape {x:?}");
        }
        if let Some(bias) = bias.filter(|bias| *bias != [outputs]) {
            invalid_input!("linear: expected a bias [{outputs}], found shape {bias:?}");
        }
        Ok(Self { rows: outer.iter().product(), inputs, outputs })
    }
}

/// A shape with another last size.
fn with_last(shape: &[usize], size: usize) -> Vec<usize> {
    let outer = &shape[..shape.len().saturating_sub(1)];
    [outer, &[size]].concat()
}

/// y = x Wᵀ + b, in the element type of `x`.
///
/// # Shapes
/// `x [.., in]`, `weight [out, in]`, `bias [out]` -> `[.., out]`.
///
/// # Errors
/// When the shapes do not fit each other or an input is not of floats.
pub fn linear(x: &Var, weight: &Var, bias: Option<&Var>) -> Result<Var> {
    let geometry = Geometry::new(x.shape(), weight.shape(), bias.map(|bias| bias.shape()))?;
    let output = match x.device() {
        Device::Cpu => cpu::forward(&geometry, x.tensor(), weight.tensor(), bias.map(Var::tensor))?,
        Device::Cuda(device) => cuda::forward(&device, &geometry, x.tensor(), weight.tensor(), bias.map(Var::tensor))?,
    };
    let none = Var::constant(Tensor::zeros(&[0]));
    // Only the weight's gradient looks at x: with a frozen weight, the activation is not kept.
    let (x_value, weight_value) = (weight.wants_gradient().then(|| x.tensor().clone()), weight.tensor().clone());
    Ok(Var::record(output, [x, weight, bias.unwrap_or(&none)], move |gradient, wanted| match gradient.device() {
        Device::Cpu => cpu::backward(&geometry, x_value.as_ref(), &weight_value, gradient, wanted),
        Device::Cuda(device) => cuda::backward(&device, &geometry, x_value.as_ref(), &weight_value, gradient, wanted),
    }))
}
