//! One matrix product forward, two backward (`kernels/linear.cu`).

use super::{Geometry, LinearEpilogue};
use crate::autograd::Var;
use crate::device::cuda::Cuda;
use crate::error::Result;
use crate::ops::product::{Activation, Lies, Product, USUAL_BATCH, WHOLE, Windows, column_sums};
use crate::tensor::Tensor;

/// Rows of a batch of usual size: the axes between the first and the last belong to a sample.
fn nominal_rows(shape: &[usize]) -> usize {
    let inner = shape.get(1..shape.len().saturating_sub(1)).unwrap_or_default();
    USUAL_BATCH * inner.iter().product::<usize>()
}

impl LinearEpilogue<'_> {
    /// As the kernels know it.
    fn activation(&self) -> Activation {
        match self {
            Self::Nothing | Self::Residual(_) | Self::Scale(_) => Activation::None,
            Self::Silu => Activation::Silu,
            Self::QuickGelu => Activation::QuickGelu,
            Self::Gelu => Activation::Gelu,
            Self::Geglu => Activation::Geglu,
        }
    }
}

pub(super) fn forward(
    device: &Cuda,
    geometry: &Geometry,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    epilogue: LinearEpilogue,
) -> Result<Tensor> {
    let &Geometry { rows, inputs, outputs } = geometry;
    let weight = weight.to_dtype(x.dtype())?;
    let alike = |term: Option<&Tensor>| term.map(|term| term.to_dtype(x.dtype())).transpose();
    let (bias, residual, activation) = (alike(bias)?, alike(epilogue.residual().map(Var::tensor))?, epilogue.activation());
    let product = Product {
        op: "linear",
        pass: "forward",
        sizes: [rows, outputs, inputs],
        nominal_rows: nominal_rows(x.shape()),
        lies: [Lies::Along, Lies::Along],
        whole_packs: inputs.is_multiple_of(WHOLE),
        windows: Some(Windows::of_matrix(rows, inputs)),
        window_shape: None,
        factors: [x, &weight],
        beside: &[],
        added: [bias.as_ref(), None, residual.as_ref()],
        has_groups: false,
        scale: epilogue.scale(),
        activation,
        geometry: &[rows, inputs, outputs, activation as usize],
        parts_geometry: &[activation as usize],
    };
    product.run(device, &super::with_last(x.shape(), activation.columns(outputs)))
}

/// Gradients of x, weight and bias: dx = s · dy W, dW = s · dyᵀ x, db = the column sums of dy. `x` is there when the weight's is wanted.
pub(super) fn backward(
    device: &Cuda,
    geometry: &Geometry,
    x: Option<&Tensor>,
    weight: &Tensor,
    gradient: &Tensor,
    scale: f32,
    wanted: [bool; 3],
) -> Result<[Option<Tensor>; 3]> {
    let &Geometry { rows, inputs, outputs } = geometry;
    let dtype = gradient.dtype();
    let whole_packs = inputs.is_multiple_of(WHOLE) && outputs.is_multiple_of(WHOLE);
    let product = |pass, sizes: [usize; 3], lies, factors: [&Tensor; 2], shape: &[usize]| {
        let nominal_rows = if pass == "to_x" { nominal_rows(gradient.shape()) } else { sizes[0] };
        let (geometry, parts_geometry) = (&[rows, inputs, outputs], &[Activation::None as usize]);
        let product = Product::of_gradient("linear", pass, sizes, lies, factors, scale);
        // dy · W, which lies across the depth.
        let windows = (pass == "to_x").then(|| Windows { right: Lies::Across, ..Windows::of_matrix(rows, outputs) });
        Product { nominal_rows, whole_packs, windows, geometry, parts_geometry, ..product }.run(device, shape)
    };
    let mut shares = [None, None, None];
    if wanted[0] {
        let (weight, shape) = (weight.to_dtype(dtype)?, super::with_last(gradient.shape(), inputs));
        shares[0] = Some(product("to_x", [rows, inputs, outputs], [Lies::Along, Lies::Across], [gradient, &weight], &shape)?);
    }
    if let (true, Some(x)) = (wanted[1], x) {
        let share = product("to_weight", [outputs, inputs, rows], [Lies::Across, Lies::Across], [gradient, x], weight.shape())?;
        shares[1] = Some(share.to_dtype(weight.dtype())?);
    }
    if wanted[2] {
        shares[2] = Some(column_sums(device, "linear", gradient, [1, rows, outputs])?.reshape(&[outputs])?);
    }
    Ok(shares)
}
