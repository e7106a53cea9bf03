//! Functions of two elements where one operand repeats.

use super::{cpu, cuda};
use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Result, bail, ensure};
use crate::tensor::{DType, Tensor};

/// How the small operand repeats: the large one is `[outer, repeat, inner]`, the small one `[outer, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Independent blocks.
    pub outer: usize,
    /// How often each row of the small operand is used in a row.
    pub repeat: usize,
    /// Elements of a row.
    pub inner: usize,
}

/// A function of an element and one that repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// x + y.
    Add,
    /// x · y.
    Mul,
    /// x where positive, y · x elsewhere.
    Prelu,
    /// The slope of `Prelu` with respect to x: 1 where x is positive, y elsewhere.
    PreluSlope,
}

impl Geometry {
    /// Decides by ranks and sizes of 1 alone, so that no choice hangs on two sizes being equal by chance.
    fn new(op: &str, x: &[usize], y: &[usize]) -> Result<Self> {
        let elements: usize = x.iter().product();
        let (rank, last) = (x.len(), x.last().copied().unwrap_or(1));
        if y.len() == rank && rank >= 1 && y[rank - 1] == 1 && y[..rank - 1] == x[..rank - 1] {
            return Ok(Self { outer: elements / last.max(1), repeat: last, inner: 1 });
        }
        let per_sample = y.len() == 2 && rank >= 4 || y.len() == rank && rank >= 3 && y[1..rank - 1].iter().all(|&size| size == 1);
        if per_sample && y[0] == x[0] && y[y.len() - 1] == last {
            return Ok(Self { outer: x[0], repeat: x[1..rank - 1].iter().product(), inner: last });
        }
        if y.len() <= rank && x[rank - y.len()..] == *y && !(y.len() == 2 && rank >= 4) {
            return Ok(Self { outer: 1, repeat: x[..rank - y.len()].iter().product(), inner: y.iter().product() });
        }
        bail!(
            "{op} repeats the second operand as [channels], [batch, channels] (first operand [batch, height, width, channels]), [batch, 1, .., channels], \
             [.., 1], or the trailing part of the first one's shape; found {x:?} and {y:?}"
        )
    }
}

/// x + y with y repeated.
pub(super) fn add(x: &Var, y: &Var) -> Result<Var> {
    let geometry = Geometry::new("broadcast_add", x.shape(), y.shape())?;
    let output = forward(geometry, Repeated::Add, x, y, x.dtype())?;
    let (shape, dtype) = (y.shape().to_vec(), y.dtype());
    Ok(Var::record(output, [x, y], move |gradient, wanted| {
        let small = wanted[1].then(|| sum_repeats(geometry, gradient, None, &shape, dtype)).transpose()?;
        Ok([wanted[0].then(|| gradient.clone()), small])
    }))
}

/// x · y with y repeated.
pub(super) fn mul(x: &Var, y: &Var) -> Result<Var> {
    let geometry = Geometry::new("broadcast_mul", x.shape(), y.shape())?;
    let output = forward(geometry, Repeated::Mul, x, y, x.dtype())?;
    let (large, small) = (x.tensor().clone(), y.tensor().clone());
    Ok(Var::record(output, [x, y], move |gradient, wanted| {
        let to_large = wanted[0].then(|| forward(geometry, Repeated::Mul, gradient, &small, large.dtype())).transpose()?;
        let to_small = wanted[1].then(|| sum_repeats(geometry, gradient, Some(&large), small.shape(), small.dtype())).transpose()?;
        Ok([to_large, to_small])
    }))
}

/// x where positive, y · x elsewhere, y `[channels]`.
pub(super) fn prelu(x: &Var, slope: &Var) -> Result<Var> {
    let width = x.shape().last().copied().unwrap_or(1);
    ensure!(slope.shape() == [width], "prelu needs one slope per channel, [{width}] for input {:?}, found {:?}", x.shape(), slope.shape());
    let geometry = Geometry { outer: 1, repeat: x.elements() / width.max(1), inner: width };
    let output = forward(geometry, Repeated::Prelu, x, slope, x.dtype())?;
    let (input, slopes) = (x.tensor().clone(), slope.tensor().clone());
    Ok(Var::record(output, [x, slope], move |gradient, wanted| {
        let factors = forward(geometry, Repeated::PreluSlope, &input, &slopes, DType::F32)?;
        let to_input = wanted[0].then(|| super::binary::forward(super::Binary::Mul, gradient, &factors, input.dtype())).transpose()?;
        let negative = super::unary::forward(super::Unary::Clamp { low: f32::NEG_INFINITY, high: 0.0 }, &input)?;
        let to_slope = wanted[1].then(|| sum_repeats(geometry, gradient, Some(&negative), slopes.shape(), slopes.dtype())).transpose()?;
        Ok([to_input, to_slope])
    }))
}

fn forward(geometry: Geometry, op: Repeated, x: &Tensor, y: &Tensor, dtype: DType) -> Result<Tensor> {
    match x.device() {
        Device::Cpu => Tensor::from_f32_as(cpu::repeated(geometry, op, &x.f32s()?, &y.f32s()?), x.shape(), dtype),
        Device::Cuda(device) => cuda::broadcast(&device, geometry, op, x, y, dtype),
    }
}

/// The sum over the repeats of `gradient`, times `factor` where given: the gradient of the small operand.
fn sum_repeats(geometry: Geometry, gradient: &Tensor, factor: Option<&Tensor>, shape: &[usize], dtype: DType) -> Result<Tensor> {
    match gradient.device() {
        Device::Cpu => {
            let factor = factor.map(Tensor::f32s).transpose()?;
            Tensor::from_f32_as(cpu::sum_repeats(geometry, &gradient.f32s()?, factor.as_deref()), shape, dtype)
        }
        Device::Cuda(device) => cuda::sum_repeats(&device, geometry, gradient, factor, shape, dtype),
    }
}
