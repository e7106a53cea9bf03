//! Implicit matrix products: windows are read where they lie (`kernels/conv2d.cu`).

use super::{Geometry, Terms};
use crate::device::cuda::Cuda;
use crate::error::Result;
use crate::ops::product::{Activation, Lies, Product, USUAL_BATCH, WHOLE, WindowShape, Windows, column_sums};
use crate::tensor::Tensor;

impl Geometry {
    /// The sizes as all entry points take them.
    fn arguments(&self) -> [usize; 12] {
        let &Self { batch, size, inputs, outputs, kernel, stride, before, output_size, .. } = self;
        [batch, size[0], size[1], inputs, outputs, kernel[0], kernel[1], stride, before[0], before[1], output_size[0], output_size[1]]
    }

    /// The forward product for Hopper's kernels: the image's boxes move by whole pixels, so the stride must be 1. Beyond an odd size a box would bring the
    /// second half of a pixel, where windows meet zeros.
    fn windows(&self) -> Option<Windows> {
        let &Self { batch, inputs, first_inputs, doubled, kernel, before, output_size: [height, width], .. } = self;
        let (cells, image) = ([batch, height, width], self.stored_size());
        let is_whole = !doubled || self.size == image.map(|size| 2 * size) && self.output_size == self.size;
        (self.stride == 1 && is_whole).then_some(Windows {
            cells,
            image,
            taps: kernel,
            before,
            channels: inputs,
            first_channels: first_inputs,
            doubled,
            right: Lies::Along,
        })
    }

    /// The product of the input's gradient for Hopper's kernels: pixel y takes from tap i what lies in the result's gradient at y + top - i, so that this is
    /// a convolution of that gradient with the taps from the last to the first. The stride must be 1, too.
    fn windows_of_gradient(&self) -> Option<Windows> {
        let &Self { batch, size: [height, width], outputs, kernel, before, output_size, doubled, stride, .. } = self;
        let [above, left] = [0, 1].map(|axis| (kernel[axis] - 1).checked_sub(before[axis]));
        (stride == 1 && !doubled).then_some(Windows {
            cells: [batch, height, width],
            image: output_size,
            taps: kernel,
            before: [above?, left?],
            channels: outputs,
            first_channels: outputs,
            doubled: false,
            right: Lies::Across,
        })
    }

    /// How the windows lie, in any batch.
    fn window_shape(&self) -> WindowShape {
        let &Self { size: image, inputs: channels, first_inputs: first_channels, doubled, kernel: taps, stride, before, .. } = self;
        WindowShape { image, taps, stride, before, first_channels, channels, doubled }
    }
}

/// Of one image, or of two whose channels lie beside each other.
pub(super) fn forward(device: &Cuda, geometry: &Geometry, (x, second): (&Tensor, Option<&Tensor>), weight: &Tensor, terms: Terms) -> Result<Tensor> {
    let alike = |term: Option<&Tensor>| term.map(|term| term.to_dtype(x.dtype())).transpose();
    let (weight, added) = (weight.to_dtype(x.dtype())?, [alike(terms.bias)?, alike(terms.per_channel)?, alike(terms.residual)?]);
    let cells = geometry.output_cells();
    let product = Product {
        op: "conv2d",
        pass: "forward",
        sizes: [geometry.batch * cells, geometry.outputs, geometry.window()],
        nominal_rows: USUAL_BATCH * cells,
        lies: [Lies::Along, Lies::Along],
        whole_packs: geometry.inputs.is_multiple_of(WHOLE) && geometry.first_inputs.is_multiple_of(WHOLE),
        windows: geometry.windows(),
        window_shape: Some(geometry.window_shape()),
        factors: [x, &weight],
        beside: &[second],
        added: [added[0].as_ref(), added[1].as_ref(), added[2].as_ref()],
        has_groups: true,
        scale: terms.scale,
        activation: Activation::None,
        geometry: &[&geometry.arguments()[..], &[geometry.first_inputs, usize::from(geometry.doubled)]].concat(),
        parts_geometry: &[cells],
    };
    product.run(device, &geometry.output_shape())
}

/// Gradients of x, weight, bias, the per-channel term and the residual. `x` is there when the weight's is wanted.
pub(super) fn backward(
    device: &Cuda,
    geometry: &Geometry,
    x: Option<&Tensor>,
    weight: &Tensor,
    gradient: &Tensor,
    scale: f32,
    wanted: [bool; 5],
) -> Result<[Option<Tensor>; 5]> {
    let &Geometry { batch, inputs, outputs, size, kernel, .. } = geometry;
    let (cells, output_cells) = (size[0] * size[1], geometry.output_cells());
    let whole_packs = inputs.is_multiple_of(WHOLE) && outputs.is_multiple_of(WHOLE);
    let window_shape = Some(geometry.window_shape());
    let product = |pass, sizes, nominal_rows, lies, factors: [&Tensor; 2], shape: &[usize]| {
        let windows = if pass == "to_x" { geometry.windows_of_gradient() } else { None };
        let (geometry, product) = (geometry.arguments(), Product::of_gradient("conv2d", pass, sizes, lies, factors, scale));
        let product =
            Product { nominal_rows, whole_packs, windows, window_shape, has_groups: true, geometry: &geometry, parts_geometry: &[1], ..product };
        product.run(device, shape)
    };
    let mut shares = [const { None }; 5];
    if wanted[0] {
        let (weight, sizes) = (weight.to_dtype(gradient.dtype())?, [batch * cells, inputs, kernel[0] * kernel[1] * outputs]);
        let lies = [Lies::Along, Lies::Across];
        shares[0] = Some(product("to_x", sizes, USUAL_BATCH * cells, lies, [gradient, &weight], &geometry.input_shape())?);
    }
    if let (true, Some(x)) = (wanted[1], x) {
        let sizes = [outputs, geometry.window(), batch * output_cells];
        let share = product("to_weight", sizes, outputs, [Lies::Across, Lies::Across], [gradient, x], weight.shape())?;
        shares[1] = Some(share.to_dtype(weight.dtype())?);
    }
    if wanted[2] {
        shares[2] = Some(column_sums(device, "conv2d", gradient, [1, batch * output_cells, outputs])?.reshape(&[outputs])?);
    }
    if wanted[3] {
        shares[3] = Some(column_sums(device, "conv2d", gradient, [batch, output_cells, outputs])?);
    }
    if wanted[4] {
        shares[4] = Some(gradient.clone());
    }
    Ok(shares)
}
