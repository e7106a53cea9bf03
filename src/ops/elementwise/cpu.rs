//! The family on the CPU: one arm per function, loops that the compiler vectorises.

use super::broadcast::{Geometry, Repeated};
use super::exponential::{exp, gelu, gelu_slope, sigmoid, swish_slope, tanh};
use super::{Binary, Unary};
use crate::device::cpu::Buffer;
use crate::ops::{parallel, reduction};

/// `op` of every element.
pub(in crate::ops) fn unary(op: Unary, x: &[f32]) -> Buffer<f32> {
    match op {
        Unary::Swish { scale } => map(x, move |x| x * sigmoid(scale * x)),
        Unary::Gelu => map(x, gelu),
        Unary::LeakyRelu { slope } => map(x, move |x| if x > 0.0 { x } else { slope * x }),
        Unary::Sigmoid => map(x, sigmoid),
        Unary::Tanh => map(x, tanh),
        Unary::Exp => map(x, exp),
        Unary::Abs => map(x, f32::abs),
        Unary::Clamp { low, high } => map(x, move |x| clamp(x, low, high)),
        Unary::Affine { factor, offset } => map(x, move |x| factor.mul_add(x, offset)),
    }
}

/// The gradient times the slope of `op` at every element.
pub(super) fn unary_backward(op: Unary, x: &[f32], gradient: &[f32]) -> Buffer<f32> {
    match op {
        Unary::Swish { scale } => map2(x, gradient, move |x, g| g * swish_slope(x, scale)),
        Unary::Gelu => map2(x, gradient, |x, g| g * gelu_slope(x)),
        Unary::LeakyRelu { slope } => map2(x, gradient, move |x, g| if x > 0.0 { g } else { slope * g }),
        Unary::Sigmoid => map2(x, gradient, |x, g| {
            let y = sigmoid(x);
            g * y * (1.0 - y)
        }),
        Unary::Tanh => map2(x, gradient, |x, g| {
            let y = tanh(x);
            g * (1.0 - y * y)
        }),
        Unary::Exp => map2(x, gradient, |x, g| g * exp(x)),
        Unary::Abs => map2(x, gradient, |x, g| if x > 0.0 { g } else { 0.0 } - if x < 0.0 { g } else { 0.0 }),
        Unary::Clamp { low, high } => map2(x, gradient, move |x, g| if x < low || x > high { 0.0 } else { g }),
        Unary::Affine { factor, .. } => map2(x, gradient, move |_, g| g * factor),
    }
}

/// `op` of every pair of elements.
pub(super) fn binary(op: Binary, a: &[f32], b: &[f32]) -> Buffer<f32> {
    match op {
        Binary::Add => map2(a, b, |a, b| a + b),
        Binary::Sub => map2(a, b, |a, b| a - b),
        Binary::Mul => map2(a, b, |a, b| a * b),
    }
}

/// Unlike `f32::clamp`, keeps NaN in vector code and never panics.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

fn map(x: &[f32], f: impl Fn(f32) -> f32 + Sync + Send) -> Buffer<f32> {
    let mut output = Buffer::scratch(x.len());
    parallel::chunks(
        &mut output,
        parallel::TASK_ELEMENTS,
        #[inline(always)]
        |first, output| {
            for (output, &x) in output.iter_mut().zip(&x[first..]) {
                *output = f(x);
            }
        },
    );
    output
}

fn map2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync + Send) -> Buffer<f32> {
    let mut output = Buffer::scratch(a.len());
    parallel::chunks(
        &mut output,
        parallel::TASK_ELEMENTS,
        #[inline(always)]
        |first, output| {
            for ((output, &a), &b) in output.iter_mut().zip(&a[first..]).zip(&b[first..]) {
                *output = f(a, b);
            }
        },
    );
    output
}

/// `op` of x and a y that repeats.
pub(super) fn repeated(geometry: Geometry, op: Repeated, x: &[f32], y: &[f32]) -> Buffer<f32> {
    match op {
        Repeated::Add => broadcast(geometry, |x, y| x + y, x, y),
        Repeated::Mul => broadcast(geometry, |x, y| x * y, x, y),
        Repeated::Prelu => broadcast(geometry, |x, slope| if x > 0.0 { x } else { slope * x }, x, y),
        Repeated::PreluSlope => broadcast(geometry, |x, slope| if x > 0.0 { 1.0 } else { slope }, x, y),
    }
}

/// `f(x, y)` with y repeated.
fn broadcast(geometry: Geometry, f: impl Fn(f32, f32) -> f32 + Sync + Send, x: &[f32], y: &[f32]) -> Buffer<f32> {
    let Geometry { repeat, inner, .. } = geometry;
    let mut output = Buffer::scratch(x.len());
    if inner == 1 {
        let rows = parallel::rows_per_task(repeat);
        parallel::chunks(
            &mut output,
            rows * repeat,
            #[inline(always)]
            |first, output| {
                let rows = output.chunks_mut(repeat).zip(x[first..].chunks(repeat)).zip(&y[first / repeat..]);
                for ((output, x), &y) in rows {
                    output.iter_mut().zip(x).for_each(|(output, &x)| *output = f(x, y));
                }
            },
        );
        return output;
    }
    // A whole number of rows a task; one row may itself be large when the operands have one shape but for the batch.
    let rows = parallel::rows_per_task(inner);
    parallel::chunks(
        &mut output,
        rows * inner,
        #[inline(always)]
        |first, output| {
            for (row, (output, x)) in output.chunks_mut(inner).zip(x[first..].chunks(inner)).enumerate() {
                let block = (first / inner + row) / repeat;
                let y = &y[block * inner..(block + 1) * inner];
                for ((output, &x), &y) in output.iter_mut().zip(x).zip(y) {
                    *output = f(x, y);
                }
            }
        },
    );
    output
}

/// Sum over the repeats of `gradient`, times `factor` where given.
pub(super) fn sum_repeats(geometry: Geometry, gradient: &[f32], factor: Option<&[f32]>) -> Buffer<f32> {
    let Geometry { outer, repeat, inner } = geometry;
    let mut output = Buffer::scratch(outer * inner);
    if inner == 1 {
        parallel::chunks(
            &mut output,
            parallel::rows_per_task(repeat),
            #[inline(always)]
            |first, output| {
                for (row, output) in output.iter_mut().enumerate() {
                    let range = (first + row) * repeat..(first + row + 1) * repeat;
                    *output = match factor {
                        Some(factor) => reduction::row_sum2(&gradient[range.clone()], &factor[range], |g, f| g * f),
                        None => reduction::row_sum(&gradient[range], |g| g),
                    };
                }
            },
        );
        return output;
    }
    for (block, output) in output.chunks_mut(inner.max(1)).enumerate() {
        let sums = reduction::column_sums(
            repeat,
            inner,
            #[inline(always)]
            |row, sums| {
                let range = (block * repeat + row) * inner..(block * repeat + row + 1) * inner;
                match factor {
                    Some(factor) => {
                        let pairs = gradient[range.clone()].iter().zip(&factor[range]);
                        sums.iter_mut().zip(pairs).for_each(|(sum, (&g, &f))| *sum += g * f);
                    }
                    None => sums.iter_mut().zip(&gradient[range]).for_each(|(sum, &g)| *sum += g),
                }
            },
        );
        output.iter_mut().zip(sums).for_each(|(output, sum)| *output = sum as f32);
    }
    output
}

/// a · gelu(b), rows of `width` a then `width` b.
pub(in crate::ops) fn geglu(width: usize, x: &[f32]) -> Buffer<f32> {
    let mut output = Buffer::scratch(x.len() / 2);
    parallel::chunks(
        &mut output,
        parallel::rows_per_task(width) * width,
        #[inline(always)]
        |first, output| {
            for (output, x) in output.chunks_mut(width).zip(x[2 * first..].chunks(2 * width)) {
                let (a, b) = x.split_at(width);
                for ((output, &a), &b) in output.iter_mut().zip(a).zip(b) {
                    *output = a * gelu(b);
                }
            }
        },
    );
    output
}

/// The gradient of [`geglu`].
pub(super) fn geglu_backward(width: usize, x: &[f32], gradient: &[f32]) -> Buffer<f32> {
    let mut output = Buffer::scratch(x.len());
    let row = 2 * width;
    parallel::chunks(
        &mut output,
        parallel::rows_per_task(row) * row,
        #[inline(always)]
        |first, output| {
            for ((output, x), gradient) in output.chunks_mut(row).zip(x[first..].chunks(row)).zip(gradient[first / 2..].chunks(width)) {
                let ((to_a, to_b), (a, b)) = (output.split_at_mut(width), x.split_at(width));
                for ((to_a, &b), &g) in to_a.iter_mut().zip(b).zip(gradient) {
                    *to_a = g * gelu(b);
                }
                for (((to_b, &a), &b), &g) in to_b.iter_mut().zip(a).zip(b).zip(gradient) {
                    *to_b = g * a * gelu_slope(b);
                }
            }
        },
    );
    output
}
