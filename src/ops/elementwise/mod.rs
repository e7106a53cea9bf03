//! Ops that look at one element at a time: a family, one row per op.

use crate::autograd::Var;
use crate::error::Result;

/// x · sigmoid(x).
pub fn silu(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// x · Φ(x), with the exact error function.
pub fn gelu(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// x · sigmoid(1.702 x).
pub fn quick_gelu(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// max(x, 0).
pub fn relu(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// x where positive, slope · x elsewhere.
pub fn leaky_relu(x: &Var, slope: f32) -> Result<Var> {
    let _ = (x, slope);
    todo!()
}

/// 1 / (1 + e^-x).
pub fn sigmoid(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// Hyperbolic tangent.
pub fn tanh(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// e^x.
pub fn exp(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// |x|, with gradient 0 at 0.
pub fn abs(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}

/// x limited to [low, high]; gradient 0 outside.
pub fn clamp(x: &Var, low: f32, high: f32) -> Result<Var> {
    let _ = (x, low, high);
    todo!()
}

/// factor · x + offset.
pub fn affine(x: &Var, factor: f32, offset: f32) -> Result<Var> {
    let _ = (x, factor, offset);
    todo!()
}

/// a + b, of one shape.
pub fn add(a: &Var, b: &Var) -> Result<Var> {
    let _ = (a, b);
    todo!()
}

/// a - b, of one shape.
pub fn sub(a: &Var, b: &Var) -> Result<Var> {
    let _ = (a, b);
    todo!()
}

/// a · b element by element, of one shape.
pub fn mul(a: &Var, b: &Var) -> Result<Var> {
    let _ = (a, b);
    todo!()
}

/// Adds rows that repeat: `x [batch, .., channels]` plus `y [batch, channels]`, `y [channels]`, or a `y` that is the trailing part of x's shape.
pub fn broadcast_add(x: &Var, y: &Var) -> Result<Var> {
    let _ = (x, y);
    todo!()
}

/// Multiplies by rows that repeat, shapes as [`broadcast_add`]; also a `y` of x's shape with one channel (`[.., 1]`, a mask).
pub fn broadcast_mul(x: &Var, y: &Var) -> Result<Var> {
    let _ = (x, y);
    todo!()
}

/// x where positive, slope of its channel · x elsewhere: `x [.., channels]`, `slope [channels]`.
pub fn prelu(x: &Var, slope: &Var) -> Result<Var> {
    let _ = (x, slope);
    todo!()
}

/// a · gelu(b) for the halves a, b of the last axis: `[.., 2 channels] -> [.., channels]`.
pub fn geglu(x: &Var) -> Result<Var> {
    let _ = x;
    todo!()
}
