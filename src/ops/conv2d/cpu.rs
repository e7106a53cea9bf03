//! Implicit products: the windows are read from the image while the factors are packed.

use super::patches::{FlippedWeight, Patches, Pixels};
use super::winograd::{self, Convolution, WeightView};
use super::{Geometry, Terms};
use crate::device::cpu::Buffer;
use crate::device::cpu::gemm::{AcrossDepth, AlongDepth, Finish, product, product_contiguous};
use crate::device::cpu::reduce::column_sums;
use crate::error::Result;
use crate::tensor::Tensor;

/// Of one image, or of two whose channels lie beside each other.
pub(super) fn forward(geometry: &Geometry, (x, second): (&Tensor, Option<&Tensor>), weight: &Tensor, terms: Terms) -> Result<Tensor> {
    let (image, second, weights) = (x.f32s()?, second.map(Tensor::f32s).transpose()?, weight.f32s()?);
    let pixels = Pixels {
        images: [&image, second.as_deref().unwrap_or_default()],
        size: geometry.size,
        channels: geometry.inputs,
        first_channels: geometry.first_inputs,
        doubled: geometry.doubled,
    };
    let bias = terms.bias.map(Tensor::f32s).transpose()?;
    let per_channel = terms.per_channel.map(Tensor::f32s).transpose()?;
    let residual = terms.residual.map(Tensor::f32s).transpose()?;
    let finish = Finish {
        scale: terms.scale,
        bias: bias.as_deref(),
        per_group: per_channel.as_deref().map(|terms| (terms, geometry.output_cells())),
        residual: residual.as_deref(),
        ..Finish::default()
    };
    let window = geometry.window();
    let right = AlongDepth { data: &weights, lane_stride: window, depth_stride: 1 };
    let mut output = Buffer::scratch(geometry.output_shape().iter().product());
    if winograd::suits(geometry) {
        forward_winograd(geometry, pixels, &weights).run(&mut output, &finish);
        return Tensor::from_f32_as(output, &geometry.output_shape(), x.dtype());
    }
    if geometry.is_pointwise() {
        let left = AlongDepth { data: &image, lane_stride: window, depth_stride: 1 };
        product_contiguous(&left, &right, window, &mut output, geometry.outputs, &finish);
    } else {
        product_contiguous(&windows::<true>(geometry, pixels), &right, window, &mut output, geometry.outputs, &finish);
    }
    Tensor::from_f32_as(output, &geometry.output_shape(), x.dtype())
}

/// Gradients of x, weight, bias, the per-channel term and the residual. `x` is there when the weight's is wanted.
pub(super) fn backward(
    geometry: &Geometry,
    x: Option<&Tensor>,
    weight: &Tensor,
    gradient: &Tensor,
    scale: f32,
    wanted: [bool; 5],
) -> Result<[Option<Tensor>; 5]> {
    let (output_gradient, finish) = (gradient.f32s()?, Finish { scale, ..Finish::default() });
    let mut shares = [const { None }; 5];
    if wanted[0] {
        let share = input_gradient(geometry, &weight.f32s()?, &output_gradient, &finish);
        shares[0] = Some(Tensor::from_f32_as(share, &geometry.input_shape(), gradient.dtype())?);
    }
    if let (true, Some(x)) = (wanted[1], x) {
        let share = weight_gradient(geometry, &x.f32s()?, &output_gradient, &finish);
        shares[1] = Some(Tensor::from_f32_as(share, weight.shape(), weight.dtype())?);
    }
    if wanted[2] {
        shares[2] = Some(Tensor::from_f32(column_sums(&output_gradient, geometry.outputs), &[geometry.outputs])?);
    }
    if wanted[3] {
        let mut sums = Buffer::scratch(geometry.batch * geometry.outputs);
        let images = output_gradient.chunks(geometry.output_cells() * geometry.outputs);
        for (sums, image) in sums.chunks_mut(geometry.outputs.max(1)).zip(images) {
            sums.copy_from_slice(&column_sums(image, geometry.outputs));
        }
        shares[3] = Some(Tensor::from_f32(sums, &[geometry.batch, geometry.outputs])?);
    }
    if wanted[4] {
        shares[4] = Some(gradient.clone());
    }
    Ok(shares)
}

fn windows<'a, const ALONG_DEPTH: bool>(geometry: &Geometry, pixels: Pixels<'a>) -> Patches<'a, ALONG_DEPTH> {
    Patches {
        pixels,
        grid: geometry.output_size,
        taps: geometry.kernel,
        step: geometry.stride as isize,
        origin: geometry.before.map(|zeros| -(zeros as isize)),
    }
}

fn forward_winograd<'a>(geometry: &Geometry, pixels: Pixels<'a>, weights: &'a [f32]) -> Convolution<'a> {
    Convolution {
        pixels,
        batch: geometry.batch,
        before: geometry.before,
        weight: WeightView::forward(weights, geometry.inputs),
        output_size: geometry.output_size,
        outputs: geometry.outputs,
    }
}

/// dW [out, window] = scale · dyᵀ · windows, the depth running over all cells of all images in order.
fn weight_gradient(geometry: &Geometry, image: &[f32], output_gradient: &[f32], finish: &Finish) -> Buffer<f32> {
    let cells = geometry.batch * geometry.output_cells();
    let pixels = Pixels::of(image, geometry.size, geometry.inputs);
    // The weight's gradient is one sum over the batch: here the batch may decide.
    if winograd::suits(geometry) && cells >= 512 {
        let mut share = forward_winograd(geometry, pixels, &[]).weight_gradient(output_gradient);
        finish.scale_stored(&mut share);
        return share;
    }
    let mut share = Buffer::scratch(geometry.outputs * geometry.window());
    let left = AcrossDepth { data: output_gradient, depth_stride: geometry.outputs };
    product_contiguous(&left, &windows::<false>(geometry, pixels), cells, &mut share, geometry.window(), finish);
    share
}

/// dx, times the scale, one product for each residue of the input position modulo the stride: positions of one residue meet the same elements of the window.
///
/// Input y meets output (y + before - k) / stride for the k that make it whole: k = first + stride * (taps - 1 - tap), and with y = start + stride * i that
/// is output i + base - (taps - 1) + tap.
fn input_gradient(geometry: &Geometry, weights: &[f32], output_gradient: &[f32], finish: &Finish) -> Buffer<f32> {
    let &Geometry { stride, size, kernel, before, inputs, outputs, .. } = geometry;
    let mut share = Buffer::scratch(geometry.batch * size[0] * size[1] * inputs);
    if winograd::suits(geometry) {
        let convolution = Convolution {
            pixels: Pixels::of(output_gradient, geometry.output_size, outputs),
            batch: geometry.batch,
            before: before.map(|zeros| 2 - zeros),
            weight: WeightView::input_gradient(weights, inputs),
            output_size: size,
            outputs: inputs,
        };
        convolution.run(&mut share, finish);
        return share;
    }
    let factors = |start: [usize; 2]| {
        let axis = |f: &dyn Fn(usize) -> usize| [f(0), f(1)];
        let first = axis(&|i| (start[i] + before[i]) % stride);
        let taps = axis(&|i| kernel[i].saturating_sub(first[i]).div_ceil(stride));
        let grid = axis(&|i| (size[i] - start[i]).div_ceil(stride));
        let origin = [0, 1].map(|i| ((start[i] + before[i]) / stride) as isize + 1 - taps[i] as isize);
        let left = Patches::<true> { pixels: Pixels::of(output_gradient, geometry.output_size, outputs), grid, taps, step: 1, origin };
        let right = FlippedWeight { weight: weights, inputs, outputs, kernel, first, step: stride, taps };
        (left, right, taps[0] * taps[1] * outputs)
    };
    if stride == 1 {
        let (left, right, depth) = factors([0, 0]);
        product_contiguous(&left, &right, depth, &mut share, inputs, finish);
        return share;
    }
    let mut residues: Vec<Vec<&mut [f32]>> = (0..stride * stride).map(|_| Vec::new()).collect();
    for (cell, row) in share.chunks_mut(inputs.max(1)).enumerate() {
        let (x, y) = (cell % size[1], cell / size[1] % size[0]);
        residues[y % stride * stride + x % stride].push(row);
    }
    for (residue, mut rows) in residues.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        let (left, right, depth) = factors([residue / stride, residue % stride]);
        product(&left, &right, depth, &mut rows, finish);
    }
    share
}
