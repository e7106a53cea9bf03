//! Changing the height and width of images.

mod bilinear;
mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::autograd::Var;
use crate::device::Device;
use crate::device::cpu::Buffer;
use crate::error::{Result, ensure};
use crate::tensor::Tensor;

/// Sizes of a resize: `[batch, from height, from width, channels] -> [batch, to height, to width, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    batch: usize,
    from: [usize; 2],
    to: [usize; 2],
    channels: usize,
}

impl Geometry {
    fn new(op: &str, x: &Tensor, to: impl Fn([usize; 2]) -> Option<[usize; 2]>) -> Result<Self> {
        let [batch, height, width, channels] = x.dims()?;
        ensure!(x.elements() > 0, "{op}: nothing to resize in shape {:?}", x.shape());
        let to = to([height, width]).filter(|sizes| sizes.iter().all(|&size| size > 0));
        let Some(to) = to else { crate::error::bail!("{op}: shape {:?} leaves no pixel", x.shape()) };
        Ok(Self { batch, from: [height, width], to, channels })
    }

    fn input_shape(&self) -> [usize; 4] {
        [self.batch, self.from[0], self.from[1], self.channels]
    }

    fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.to[0], self.to[1], self.channels]
    }

    /// Output elements.
    fn outputs(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// Input elements.
    fn inputs(&self) -> usize {
        self.input_shape().iter().product()
    }
}

/// Records an op that is linear in x: `forward` and its transpose `backward` on f32 elements of the CPU; on a CUDA device the entry points of this name,
/// whose last parameters are `extra`.
fn linear(
    geometry: Geometry,
    x: &Var,
    forward: impl FnOnce(&[f32]) -> Buffer<f32>,
    backward: impl FnOnce(&[f32]) -> Buffer<f32> + Send + 'static,
    (name, extra): (&'static str, Vec<usize>),
) -> Result<Var> {
    let dtype = x.dtype();
    let output = match x.device() {
        Device::Cpu => Tensor::from_f32_as(forward(&x.f32s()?), &geometry.output_shape(), dtype)?,
        Device::Cuda(device) => cuda::forward(&device, name, geometry, &extra, x)?,
    };
    Ok(Var::record(output, [x], move |gradient, _| {
        Ok([Some(match gradient.device() {
            Device::Cpu => Tensor::from_f32_as(backward(&gradient.f32s()?), &geometry.input_shape(), dtype)?,
            Device::Cuda(device) => cuda::backward(&device, name, geometry, &extra, gradient)?,
        })])
    }))
}

/// Repeats each pixel `factor` times in both axes: `[batch, height, width, channels] -> [batch, factor · height, factor · width, channels]`.
pub fn upsample_nearest(x: &Var, factor: usize) -> Result<Var> {
    let geometry = Geometry::new("upsample_nearest", x, |[height, width]| Some([height.checked_mul(factor)?, width.checked_mul(factor)?]))?;
    let transpose = move |gradient: &[f32]| cpu::upsample_backward(geometry, factor, gradient);
    linear(geometry, x, |x| cpu::upsample(geometry, factor, x), transpose, ("upsample", Vec::new()))
}

/// Bilinear without antialiasing, as `torch.nn.functional.interpolate`: `[batch, h, w, channels] -> [batch, height, width, channels]`.
pub fn resize_bilinear(x: &Var, height: usize, width: usize, align_corners: bool) -> Result<Var> {
    let geometry = Geometry::new("resize_bilinear", x, |_| Some([height, width]))?;
    let transpose = move |gradient: &[f32]| bilinear::backward(geometry, align_corners, gradient);
    linear(geometry, x, |x| bilinear::forward(geometry, align_corners, x), transpose, ("bilinear", vec![usize::from(align_corners)]))
}

/// Mean over windows that tile the image, as `torch.nn.AdaptiveAvgPool2d`: `[batch, h, w, channels] -> [batch, height, width, channels]`. Windows
/// overlap where the sizes do not divide, and repeat pixels where the output is the larger.
pub fn area_pool(x: &Var, height: usize, width: usize) -> Result<Var> {
    let geometry = Geometry::new("area_pool", x, |_| Some([height, width]))?;
    linear(geometry, x, |x| cpu::area_pool(geometry, x), move |gradient| cpu::area_pool_backward(geometry, gradient), ("area_pool", Vec::new()))
}

/// Mean over the `kernel` x `kernel` pixels around each pixel, zeros beyond the border counted, as `torch.nn.functional.avg_pool2d` with stride 1 and
/// half the kernel as padding: `[batch, height, width, channels]` to the same. The op is its own transpose.
pub fn average_pool(x: &Var, kernel: usize) -> Result<Var> {
    ensure!(kernel % 2 == 1, "average_pool needs an odd kernel, found {kernel}");
    let geometry = Geometry::new("average_pool", x, Some)?;
    let mean = move |x: &[f32]| cpu::average_pool(geometry, kernel, x);
    linear(geometry, x, mean, mean, ("average_pool", vec![kernel]))
}

/// Maximum over windows: `[batch, h, w, channels] -> [batch, (h + 2 padding - kernel) / stride + 1, .., channels]`; padding never wins. The gradient
/// goes to the first of equal maxima.
pub fn max_pool(x: &Var, kernel: usize, stride: usize, padding: usize) -> Result<Var> {
    ensure!(
        kernel > 0 && stride > 0 && padding <= kernel / 2,
        "max_pool needs kernel and stride of 1 or more and padding of at most half the kernel, found {kernel}, {stride}, {padding}"
    );
    let size = |size: usize| (size + 2 * padding).checked_sub(kernel).map(|room| room / stride + 1);
    let geometry = Geometry::new("max_pool", x, |[height, width]| Some([size(height)?, size(width)?]))?;
    let window = cpu::Window { kernel, stride, padding };
    let dtype = x.dtype();
    match x.device() {
        Device::Cpu => {
            let (output, winners) = cpu::max_pool(geometry, window, &x.f32s()?, x.wants_gradient());
            let output = Tensor::from_f32_as(output, &geometry.output_shape(), dtype)?;
            Ok(Var::record(output, [x], move |gradient, _| {
                let share = cpu::max_pool_backward(geometry, &winners, &gradient.f32s()?);
                Ok([Some(Tensor::from_f32_as(share, &geometry.input_shape(), dtype)?)])
            }))
        }
        Device::Cuda(device) => {
            let (output, winners) = cuda::max_pool(&device, geometry, window, x, x.wants_gradient())?;
            Ok(Var::record(output, [x], move |gradient, _| {
                Ok([winners.map(|winners| cuda::max_pool_backward(&device, geometry, window, &winners, gradient)).transpose()?])
            }))
        }
    }
}
