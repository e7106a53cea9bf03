//! Launches of `kernels/group_norm.cu`, for group and batch normalisation.

use super::{Activation, Geometry};
use crate::device::cuda::{Cuda, Launch};
use crate::error::Result;
use crate::ops::product::channel_sums_shared;
use crate::tensor::{DType, Tensor, scratch};

/// Rows that a block handles.
const RUN: usize = 32;
/// Bytes of a group that stays in shared memory.
const STRIP_BYTES: usize = 40 << 10;

/// A normalisation: its input and parameters, in one element type.
#[derive(Debug)]
pub(in crate::ops) struct Normalization {
    pub device: Cuda,
    pub geometry: Geometry,
    pub activation: Activation,
    pub x: Tensor,
    /// Whose channels lie beside those of x; forward only.
    pub second: Option<Tensor>,
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Normalization {
    /// The parameters in x's element type.
    pub fn new(device: Cuda, geometry: Geometry, activation: Activation, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Self> {
        let (weight, bias) = (weight.to_dtype(x.dtype())?, bias.to_dtype(x.dtype())?);
        Ok(Self { device, geometry, activation, x: x.clone(), second: None, weight, bias })
    }

    /// With more channels beside those of x.
    pub fn beside(self, second: Option<&Tensor>) -> Self {
        Self { second: second.cloned(), ..self }
    }

    /// A launch that reads both tensors.
    fn launch_on_both(&self, entry: &str) -> Launch {
        self.launch(entry).tensor(&self.x).optional(self.second.as_ref())
    }

    fn first_channels(&self) -> usize {
        self.x.shape().last().copied().unwrap_or(0)
    }

    /// Room for the output.
    fn output(&self) -> Result<Tensor> {
        let mut shape = self.x.shape().to_vec();
        if let Some(channels) = shape.last_mut() {
            *channels = self.geometry.channels;
        }
        scratch(&self.device, &shape, self.x.dtype())
    }

    fn runs(&self) -> usize {
        self.geometry.positions.div_ceil(RUN)
    }

    fn launch(&self, entry: &str) -> Launch {
        Launch::new(&self.device, entry, self.x.dtype()).threads(256)
    }

    fn silu(&self) -> usize {
        usize::from(self.activation == Activation::Silu)
    }

    /// The positions, channels, groups, rows of a run and activation that most entry points end with.
    fn sizes(&self, launch: Launch) -> Launch {
        let Geometry { positions, channels, groups, .. } = self.geometry;
        launch.int(positions).int(channels).int(groups).int(RUN)
    }

    /// The output and the statistics `[samples, groups, 2]`: mean, 1 / sqrt(variance + epsilon).
    pub fn forward(&self, epsilon: f32) -> Result<(Tensor, Tensor)> {
        let Geometry { samples, positions, channels, groups } = self.geometry;
        let strip = positions * (channels / groups) * self.x.dtype().bytes();
        if strip > STRIP_BYTES {
            let statistics = self.statistics(epsilon, None)?;
            return Ok((self.apply(&statistics)?, statistics));
        }
        let statistics = scratch(&self.device, &[samples, groups, 2], DType::F32)?;
        let output = self.output()?;
        let launch = self.launch_on_both("group_norm_strip").grid(groups, samples, 1).shared(strip).tensor(&self.weight).tensor(&self.bias);
        let launch = launch.tensor(&statistics).tensor(&output).int(positions).int(channels).int(groups).float(epsilon);
        launch.int(self.silu()).int(self.first_channels()).run()?;
        Ok((output, statistics))
    }

    /// The statistics of x, from the moments of runs of rows; fills means and variances (divided by count - 1) of every group where given.
    pub fn statistics(&self, epsilon: f32, averages: Option<[&Tensor; 2]>) -> Result<Tensor> {
        let Geometry { samples, positions, channels, groups } = self.geometry;
        let statistics = scratch(&self.device, &[samples, groups, 2], DType::F32)?;
        let moments = scratch(&self.device, &[samples, self.runs(), groups, 2], DType::F32)?;
        let shared = channel_sums_shared(channels, self.x.dtype());
        let launch = self.launch_on_both("group_norm_moments").grid(self.runs(), samples, 1).shared(shared).tensor(&moments);
        self.sizes(launch).int(self.first_channels()).run()?;
        let launch = self.launch("group_norm_statistics").grid((samples * groups).div_ceil(8), 1, 1).tensor(&moments).tensor(&statistics);
        let launch = launch.optional(averages.map(|[means, _]| means)).optional(averages.map(|[_, variances]| variances));
        launch.int(samples).int(positions).int(groups).int(channels / groups).int(self.runs()).int(RUN).float(epsilon).run()?;
        Ok(statistics)
    }

    /// Room for an f32 number of each group, for `statistics`.
    pub fn per_group(&self) -> Result<Tensor> {
        scratch(&self.device, &[self.geometry.samples * self.geometry.groups], DType::F32)
    }

    /// Statistics from a mean and a variance per group, in f32.
    pub fn given(&self, mean: &Tensor, variance: &Tensor, epsilon: f32) -> Result<Tensor> {
        let groups = self.geometry.groups;
        let statistics = scratch(&self.device, &[1, groups, 2], DType::F32)?;
        let launch = self.launch("group_norm_given").grid(groups.div_ceil(256), 1, 1);
        let (mean, variance) = (mean.to_dtype(DType::F32)?, variance.to_dtype(DType::F32)?);
        launch.tensor(&mean).tensor(&variance).tensor(&statistics).int(groups).float(epsilon).run()?;
        Ok(statistics)
    }

    /// The output under given statistics.
    pub fn apply(&self, statistics: &Tensor) -> Result<Tensor> {
        let output = self.output()?;
        let launch = self.launch_on_both("group_norm_apply").grid(self.runs(), self.geometry.samples, 1);
        let launch = launch.tensor(&self.weight).tensor(&self.bias).tensor(statistics).tensor(&output);
        self.sizes(launch).int(self.silu()).int(self.first_channels()).run()?;
        Ok(output)
    }

    /// Gradients of x, weight and bias, in x's element type; `constant` statistics take nothing back.
    pub fn backward(&self, statistics: &Tensor, gradient: &Tensor, constant: bool, wanted: [bool; 3]) -> Result<[Option<Tensor>; 3]> {
        let Geometry { samples, positions, channels, groups } = self.geometry;
        let parameters = wanted[1] || wanted[2];
        let sums = if constant && !parameters { None } else { Some(self.gradient_sums(statistics, gradient)?) };
        let to_x = match wanted[0] {
            false => None,
            true => {
                let output = scratch(&self.device, self.x.shape(), self.x.dtype())?;
                let launch = self.launch("group_norm_gradient").grid(positions.div_ceil(RUN), samples, 1);
                let launch = launch.tensor(&self.x).tensor(&self.weight).tensor(&self.bias).tensor(statistics).tensor(gradient);
                let launch = launch.optional(sums.as_ref().map(|(_, taken)| taken).filter(|_| !constant)).tensor(&output);
                self.sizes(launch).int(self.silu()).run()?;
                Some(output)
            }
        };
        let Some((channel_sums, _)) = sums.filter(|_| parameters) else { return Ok([to_x, None, None]) };
        let [to_weight, to_bias] = [scratch(&self.device, &[channels], self.x.dtype())?, scratch(&self.device, &[channels], self.x.dtype())?];
        let launch = self.launch("group_norm_to_parameters").grid(channels.div_ceil(256), 1, 1).tensor(&channel_sums).tensor(statistics);
        launch.tensor(&to_weight).tensor(&to_bias).int(samples).int(channels).int(groups).run()?;
        Ok([to_x, wanted[1].then_some(to_weight), wanted[2].then_some(to_bias)])
    }

    /// Sums per channel `[samples, channels, 2]` and what the statistics take back `[samples, groups, 2]`.
    fn gradient_sums(&self, statistics: &Tensor, gradient: &Tensor) -> Result<(Tensor, Tensor)> {
        let Geometry { samples, positions, channels, groups } = self.geometry;
        let of_runs = scratch(&self.device, &[samples, self.runs(), channels, 2], DType::F32)?;
        let shared = channel_sums_shared(channels, self.x.dtype());
        let launch = self.launch("group_norm_gradient_sums").grid(self.runs(), samples, 1).shared(shared);
        let launch = launch.tensor(&self.x).tensor(&self.weight).tensor(&self.bias).tensor(statistics).tensor(gradient).tensor(&of_runs);
        self.sizes(launch).int(self.silu()).run()?;
        let sums = scratch(&self.device, &[samples, channels, 2], DType::F32)?;
        let taken = scratch(&self.device, &[samples, groups, 2], DType::F32)?;
        let launch = self.launch("group_norm_gradient_groups").grid(groups, samples, 1).tensor(&of_runs).tensor(&self.weight).tensor(statistics);
        launch.tensor(&sums).tensor(&taken).int(positions).int(channels).int(groups).int(self.runs()).run()?;
        Ok((sums, taken))
    }
}

/// Gradients in the element types of what they belong to.
pub(in crate::ops) fn in_types<const N: usize>(shares: [Option<Tensor>; N], types: [DType; N]) -> Result<[Option<Tensor>; N]> {
    let mut converted = [const { None }; N];
    for ((converted, share), dtype) in converted.iter_mut().zip(shares).zip(types) {
        *converted = share.map(|share| share.to_dtype(dtype)).transpose()?;
    }
    Ok(converted)
}
