//! The sizes of one convolution, checked once.

use super::{Conv2dOptions, Epilogue, Source};
use crate::autograd::Var;
use crate::error::Result;
use crate::invalid_input;

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    /// Height and width of the input, as the windows meet it.
    pub(super) size: [usize; 2],
    pub(super) inputs: usize,
    /// Of these, those of the first image; a second has the rest.
    pub(super) first_inputs: usize,
    /// Whether each pixel of the image is met twice along both axes.
    pub(super) doubled: bool,
    pub(super) outputs: usize,
    /// Height and width of the window.
    pub(super) kernel: [usize; 2],
    pub(super) stride: usize,
    /// Zeros above and to the left of the image.
    pub(super) before: [usize; 2],
    /// Height and width of the output.
    pub(super) output_size: [usize; 2],
}

impl Geometry {
    pub(super) fn new(source: &Source, weight: &[usize], options: Conv2dOptions) -> Result<Self> {
        let x = source.shape()?;
        let &[batch, height, width, inputs] = &x[..] else { invalid_input!("conv2d: expected x [batch, height, width, in], found shape {x:?}") };
        let &[outputs, kernel_height, kernel_width, weight_inputs] = weight else {
            invalid_input!("conv2d: expected a weight [out, kernel height, kernel width, in], found shape {weight:?}")
        };
        if weight_inputs != inputs {
            invalid_input!("conv2d: the weight {weight:?} takes {weight_inputs} channels, found x of shape {x:?}");
        }
        let Conv2dOptions { stride, padding: [top, bottom, left, right] } = options;
        if stride == 0 || kernel_height == 0 || kernel_width == 0 {
            invalid_input!("conv2d: stride and window must be at least 1, found stride {stride} and weight {weight:?}");
        }
        let padded = [height + top + bottom, width + left + right];
        if padded[0] < kernel_height || padded[1] < kernel_width {
            invalid_input!("conv2d: a window of {kernel_height} x {kernel_width} is larger than the padded image of {} x {}", padded[0], padded[1]);
        }
        Ok(Self {
            batch,
            size: [height, width],
            inputs,
            first_inputs: source.image.first_channels(),
            doubled: source.doubled.is_some(),
            outputs,
            kernel: [kernel_height, kernel_width],
            stride,
            before: [top, left],
            output_size: [(padded[0] - kernel_height) / stride + 1, (padded[1] - kernel_width) / stride + 1],
        })
    }

    /// Checks what is added behind the convolution.
    pub(super) fn check_added(&self, bias: Option<&Var>, epilogue: Epilogue) -> Result<()> {
        let expected = [
            ("a bias", bias, vec![self.outputs]),
            ("a per-channel term", epilogue.per_channel, vec![self.batch, self.outputs]),
            ("a residual", epilogue.residual, self.output_shape().to_vec()),
        ];
        for (name, found, shape) in expected {
            if let Some(found) = found.filter(|found| found.shape() != shape) {
                invalid_input!("conv2d: expected {name} of shape {shape:?}, found {:?}", found.shape());
            }
        }
        Ok(())
    }

    /// Height and width of the image in memory.
    pub(super) fn stored_size(&self) -> [usize; 2] {
        self.size.map(|size| if self.doubled { size.div_ceil(2) } else { size })
    }

    /// `[batch, height, width, in]`
    pub(super) fn input_shape(&self) -> [usize; 4] {
        [self.batch, self.size[0], self.size[1], self.inputs]
    }

    /// `[batch, out height, out width, out]`
    pub(super) fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.output_size[0], self.output_size[1], self.outputs]
    }

    /// Output positions of one image.
    pub(super) fn output_cells(&self) -> usize {
        self.output_size[0] * self.output_size[1]
    }

    /// Elements of one window: the depth of the product.
    pub(super) fn window(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.inputs
    }

    /// Whether the input as it lies in memory is the left factor.
    pub(super) fn is_pointwise(&self) -> bool {
        self.first_inputs == self.inputs
            && !self.doubled
            && self.kernel == [1, 1]
            && self.stride == 1
            && self.before == [0, 0]
            && self.size == self.output_size
    }
}
