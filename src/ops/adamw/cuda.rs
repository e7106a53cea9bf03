//! One launch for all tensors (`kernels/adamw.cu`).

use super::{Common, Moved, Parameter};
use crate::device::Device;
use crate::device::cuda::{Cuda, Launch};
use crate::error::{Context, Result};
use crate::tensor::{DType, Tensor, scratch};

/// Elements of a block at most (`PART` in the kernel).
const PART: usize = 4096;

/// How blocks are divided among tensors.
struct Parts {
    blocks: usize,
    counts: Tensor,
    /// `[blocks, 2]`: tensor, part of it.
    parts: Tensor,
    /// The tensor of each block.
    of_block: Vec<usize>,
}

impl Parts {
    fn new(cuda: &Cuda, tensors: &[&Tensor]) -> Result<Self> {
        let on_gpu = |numbers: Vec<usize>, shape: &[usize]| {
            let numbers: Result<Vec<i32>, _> = numbers.into_iter().map(i32::try_from).collect();
            Tensor::from_i32(numbers.context("an optimiser step of too many numbers")?, shape)?.to_device(Device::Cuda(*cuda))
        };
        let parts = tensors.iter().enumerate().flat_map(|(tensor, values)| (0..values.elements().div_ceil(PART)).map(move |part| [tensor, part]));
        let parts: Vec<[usize; 2]> = parts.collect();
        let blocks = parts.len();
        Ok(Self {
            blocks,
            counts: on_gpu(tensors.iter().map(|tensor| tensor.elements()).collect(), &[tensors.len()])?,
            of_block: parts.iter().map(|part| part[0]).collect(),
            parts: on_gpu(parts.into_iter().flatten().collect(), &[blocks, 2])?,
        })
    }
}

/// One fresh tensor of each shape.
fn fresh(cuda: &Cuda, like: &[&Tensor]) -> Result<Vec<Tensor>> {
    like.iter().map(|tensor| scratch(cuda, tensor.shape(), DType::F32)).collect()
}

fn some<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<Option<&'a Tensor>> {
    tensors.into_iter().map(Some).collect()
}

pub(super) fn step(cuda: &Cuda, parameters: &[Parameter], common: &Common) -> Result<Vec<Moved>> {
    let values: Vec<&Tensor> = parameters.iter().map(|parameter| &parameter.value).collect();
    let parts = Parts::new(cuda, &values)?;
    let (new_values, new_first, new_second) = (fresh(cuda, &values)?, fresh(cuda, &values)?, fresh(cuda, &values)?);
    let own: Vec<f32> = parameters.iter().flat_map(|Parameter { own, .. }| [own.keep, own.decay, own.correction, own.step]).collect();
    let own = Tensor::from_f32(own, &[parameters.len(), 4])?.to_device(Device::Cuda(*cuda))?;
    let launch = Launch::new(cuda, "adamw_step", DType::F32).grid(parts.blocks, 1, 1);
    let launch = launch.tensors(&parameters.iter().map(|parameter| parameter.gradient.as_ref()).collect::<Vec<_>>());
    let launch = launch.tensors(&some(values)).tensors(&some(parameters.iter().map(|parameter| &parameter.first)));
    let launch = launch.tensors(&some(parameters.iter().map(|parameter| &parameter.second)));
    let launch = launch.tensors(&some(&new_values)).tensors(&some(&new_first)).tensors(&some(&new_second));
    let launch = launch.tensor(&parts.counts).tensor(&parts.parts).tensor(&own).float(common.scale).float(common.beta2);
    launch.float(common.one_minus_beta1).float(common.one_minus_beta2).float(common.epsilon).run()?;
    let moved = new_values.into_iter().zip(new_first).zip(new_second);
    Ok(moved.map(|((value, first), second)| Moved { value, first, second }).collect())
}

pub(super) fn square_sums(cuda: &Cuda, tensors: &[Tensor]) -> Result<Vec<f64>> {
    let tensors: Vec<&Tensor> = tensors.iter().collect();
    let parts = Parts::new(cuda, &tensors)?;
    let sums = scratch(cuda, &[parts.blocks], DType::F32)?;
    let launch = Launch::new(cuda, "adamw_square_sums", DType::F32).grid(parts.blocks, 1, 1).tensors(&some(tensors.iter().copied()));
    launch.tensor(&parts.counts).tensor(&parts.parts).tensor(&sums).run()?;
    let mut totals = vec![0.0; tensors.len()];
    for (&tensor, sum) in parts.of_block.iter().zip(sums.to_f32_vec()?) {
        totals[tensor] += f64::from(sum);
    }
    Ok(totals)
}

pub(super) fn moving_averages(cuda: &Cuda, pairs: &[(Tensor, Tensor)], share: f32) -> Result<Vec<Tensor>> {
    let averages: Vec<&Tensor> = pairs.iter().map(|(average, _)| average).collect();
    let (parts, moved) = (Parts::new(cuda, &averages)?, fresh(cuda, &averages)?);
    let launch = Launch::new(cuda, "adamw_average", DType::F32).grid(parts.blocks, 1, 1).tensors(&some(averages));
    let launch = launch.tensors(&some(pairs.iter().map(|(_, value)| value))).tensors(&some(&moved));
    launch.tensor(&parts.counts).tensor(&parts.parts).float(share).run()?;
    Ok(moved)
}
