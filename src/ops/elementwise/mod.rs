//! Ops that look at one element at a time: a family, one row per op.

mod binary;
mod broadcast;
mod cpu;
mod cuda;
pub(crate) mod exponential;
mod gated;
#[cfg(test)]
mod tests;
mod unary;

pub use binary::Binary;
pub(in crate::ops) use cpu::{geglu as geglu_on_cpu, unary as unary_on_cpu};
pub use unary::Unary;

use crate::autograd::Var;
use crate::error::{Result, ensure};

/// x · sigmoid(x).
pub fn silu(x: &Var) -> Result<Var> {
    unary::unary(Unary::Swish { scale: 1.0 }, x)
}

/// x · Φ(x), with the exact error function.
pub fn gelu(x: &Var) -> Result<Var> {
    unary::unary(Unary::Gelu, x)
}

/// The factor of [`quick_gelu`].
pub(in crate::ops) const QUICK_GELU: f32 = 1.702;

/// x · sigmoid(1.702 x).
pub fn quick_gelu(x: &Var) -> Result<Var> {
    unary::unary(Unary::Swish { scale: QUICK_GELU }, x)
}

/// max(x, 0).
pub fn relu(x: &Var) -> Result<Var> {
    unary::unary(Unary::LeakyRelu { slope: 0.0 }, x)
}

/// x where positive, slope · x elsewhere.
pub fn leaky_relu(x: &Var, slope: f32) -> Result<Var> {
    unary::unary(Unary::LeakyRelu { slope }, x)
}

/// 1 / (1 + e^-x).
pub fn sigmoid(x: &Var) -> Result<Var> {
    unary::unary(Unary::Sigmoid, x)
}

/// Hyperbolic tangent.
pub fn tanh(x: &Var) -> Result<Var> {
    unary::unary(Unary::Tanh, x)
}

/// e^x.
pub fn exp(x: &Var) -> Result<Var> {
    unary::unary(Unary::Exp, x)
}

/// |x|, with gradient 0 at 0.
pub fn abs(x: &Var) -> Result<Var> {
    unary::unary(Unary::Abs, x)
}

/// x limited to [low, high]; gradient 0 outside.
pub fn clamp(x: &Var, low: f32, high: f32) -> Result<Var> {
    ensure!(low <= high, "clamp needs low <= high, found {low} and {high}");
    unary::unary(Unary::Clamp { low, high }, x)
}

/// factor · x + offset.
pub fn affine(x: &Var, factor: f32, offset: f32) -> Result<Var> {
    unary::unary(Unary::Affine { factor, offset }, x)
}

/// a + b, of one shape.
pub fn add(a: &Var, b: &Var) -> Result<Var> {
    binary::binary(Binary::Add, a, b)
}

/// a - b, of one shape.
pub fn sub(a: &Var, b: &Var) -> Result<Var> {
    binary::binary(Binary::Sub, a, b)
}

/// a · b element by element, of one shape.
pub fn mul(a: &Var, b: &Var) -> Result<Var> {
    binary::binary(Binary::Mul, a, b)
}

/// Adds rows that repeat.
///
/// # Shapes
/// `x [batch, .., channels]` and one of: `y [channels]`; `y [batch, channels]` where x has four axes or more; `y [batch, 1, .., channels]`; a `y` that
/// is the trailing part of x's shape (`[n, channels]` for `x [batch, n, channels]`); a `y` of x's shape with one channel (`[.., 1]`, a mask).
/// The choice hangs on ranks and sizes of 1 alone.
pub fn broadcast_add(x: &Var, y: &Var) -> Result<Var> {
    broadcast::add(x, y)
}

/// Multiplies by rows that repeat, shapes as [`broadcast_add`].
pub fn broadcast_mul(x: &Var, y: &Var) -> Result<Var> {
    broadcast::mul(x, y)
}

/// x where positive, slope of its channel · x elsewhere: `x [.., channels]`, `slope [channels]`.
pub fn prelu(x: &Var, slope: &Var) -> Result<Var> {
    broadcast::prelu(x, slope)
}

/// a · gelu(b) for the halves a, b of the last axis: `[.., 2 channels] -> [.., channels]`.
pub fn geglu(x: &Var) -> Result<Var> {
    gated::geglu(x)
}
