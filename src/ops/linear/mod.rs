//! Fully connected: y = x Wᵀ + b over the last axis.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::invalid_input;
use crate::ops;
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

    fn check(&self, x: &[usize], epilogue: LinearEpilogue) -> Result<()> {
        let expected = with_last(x, self.outputs);
        match epilogue {
            LinearEpilogue::Residual(residual) if residual.shape() != expected => {
                invalid_input!("linear: expected a residual of shape {expected:?}, found {:?}", residual.shape())
            }
            LinearEpilogue::Geglu if !self.outputs.is_multiple_of(2) => {
                invalid_input!("linear: a gated layer halves its outputs, found {} of them", self.outputs)
            }
            _ => Ok(()),
        }
    }
}

/// A shape with another last size.
fn with_last(shape: &[usize], size: usize) -> Vec<usize> {
    let outer = &shape[..shape.len().saturating_sub(1)];
    [outer, &[size]].concat()
}

/// What a layer's result passes through where it is produced.
#[derive(Clone, Copy, Debug, Default)]
pub enum LinearEpilogue<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// [`silu`](super::silu).
    Silu,
    /// [`gelu`](super::gelu).
    Gelu,
    /// [`quick_gelu`](super::quick_gelu).
    QuickGelu,
    /// [`geglu`](super::geglu), which leaves half of the outputs.
    Geglu,
    /// Something of the result's shape is added: the residual connection.
    Residual(&'a Var),
    /// The product is multiplied by a constant s before the bias is added, y = s · x Wᵀ + b: the layer of s · x, which is not written.
    Scale(f32),
}

impl<'a> LinearEpilogue<'a> {
    fn residual(&self) -> Option<&'a Var> {
        match self {
            Self::Residual(residual) => Some(*residual),
            _ => None,
        }
    }

    /// What multiplies the product.
    fn scale(&self) -> f32 {
        match self {
            Self::Scale(scale) => *scale,
            _ => 1.0,
        }
    }

    /// The activation as an op of its own, if there is one.
    fn activation_op(&self) -> Option<fn(&Var) -> Result<Var>> {
        match self {
            Self::Nothing | Self::Residual(_) | Self::Scale(_) => None,
            Self::Silu => Some(ops::silu),
            Self::Gelu => Some(ops::gelu),
            Self::QuickGelu => Some(ops::quick_gelu),
            Self::Geglu => Some(ops::geglu),
        }
    }
}

/// y = x Wᵀ + b, in the element type of `x`.
///
/// # Shapes
/// `x [.., in]`, `weight [out, in]`, `bias [out]` -> `[.., out]`.
///
/// # Errors
/// When the shapes do not fit each other or an input is not of floats.
pub fn linear(x: &Var, weight: &Var, bias: Option<&Var>) -> Result<Var> {
    linear_with(x, weight, bias, LinearEpilogue::Nothing)
}

/// [`linear`] with what is fused behind it. Where gradients are wanted, an activation is an op of its own, since its gradient looks at what went into it.
///
/// # Shapes
/// As [`linear`]; behind [`LinearEpilogue::Geglu`] `[.., out / 2]`.
///
/// # Errors
/// As [`linear`], when a residual has another shape than the result, and when the outputs of a gated layer are odd.
pub fn linear_with(x: &Var, weight: &Var, bias: Option<&Var>, epilogue: LinearEpilogue) -> Result<Var> {
    let geometry = Geometry::new(x.shape(), weight.shape(), bias.map(|bias| bias.shape()))?;
    geometry.check(x.shape(), epilogue)?;
    let wants_gradient = x.wants_gradient() || weight.wants_gradient() || bias.is_some_and(Var::wants_gradient);
    if let Some(activation) = epilogue.activation_op().filter(|_| wants_gradient) {
        return activation(&linear(x, weight, bias)?);
    }
    let output = match x.device() {
        Device::Cpu => cpu::forward(&geometry, x.tensor(), weight.tensor(), bias.map(Var::tensor), epilogue)?,
        Device::Cuda(device) => cuda::forward(&device, &geometry, x.tensor(), weight.tensor(), bias.map(Var::tensor), epilogue)?,
    };
    let none = Var::constant(Tensor::zeros(&[0]));
    // Only the weight's gradient looks at x: with a frozen weight, the activation is not kept.
    let (x_value, weight_value, scale) = (weight.wants_gradient().then(|| x.tensor().clone()), weight.tensor().clone(), epilogue.scale());
    let inputs = [x, weight, bias.unwrap_or(&none), epilogue.residual().unwrap_or(&none)];
    Ok(Var::record(output, inputs, move |gradient, [x, weight, bias, residual]| {
        let wanted = [x, weight, bias];
        let [x, weight, bias] = match gradient.device() {
            Device::Cpu => cpu::backward(&geometry, x_value.as_ref(), &weight_value, gradient, scale, wanted)?,
            Device::Cuda(device) => cuda::backward(&device, &geometry, x_value.as_ref(), &weight_value, gradient, scale, wanted)?,
        };
        Ok([x, weight, bias, residual.then(|| gradient.clone())])
    }))
}
